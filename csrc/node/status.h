// SPDX-License-Identifier: Apache-2.0
// A TF_Status that frees itself and turns a failure into an exception with TensorFlow's own message.
#ifndef TFGEO_NODE_STATUS_H_
#define TFGEO_NODE_STATUS_H_

#include <string>

#include "napi_util.h"
#include "tensorflow/c/tf_status.h"

namespace tfgeo {

/** "{{function_node ...}} message" without its prefix, which names internals and hides the message. */
inline std::string PlainMessage(const char* message) {
  std::string text = message ? message : "";
  if (text.rfind("{{function_node", 0) == 0) {
    const size_t end = text.find("}} ");
    if (end != std::string::npos) text.erase(0, end + 3);
  }
  return text;
}

class Status {
 public:
  Status() : status_(TF_NewStatus()) {}
  ~Status() { TF_DeleteStatus(status_); }
  Status(const Status&) = delete;
  Status& operator=(const Status&) = delete;

  TF_Status* get() { return status_; }
  bool ok() const { return TF_GetCode(status_) == TF_OK; }
  std::string message() const { return PlainMessage(TF_Message(status_)); }

  /** Throws "where: TensorFlow's message" unless the last call succeeded. */
  void ThrowUnlessOk(const std::string& where) const {
    if (!ok()) throw Failure(where + ": " + message(), "TFGEO_TENSORFLOW");
  }

 private:
  TF_Status* status_;
};

}  // namespace tfgeo

#endif  // TFGEO_NODE_STATUS_H_
