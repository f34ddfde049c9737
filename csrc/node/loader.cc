// SPDX-License-Identifier: Apache-2.0
// The loader addon. It knows nothing of TensorFlow: it makes a shared library's symbols visible to the
// whole process, so that the main addon, built without linking libtensorflow, serves any location of it.
// (process.dlopen can't do this: it closes a library that does not register itself as an addon.)
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>

#include "napi_util.h"

namespace tfgeo {
namespace {

/**
 * Holds back what is written to stderr while it lives, then passes it on without TensorFlow's informational lines:
 * its libraries write some from static initialisers, before any log level can be set.
 */
class StderrFilter {
 public:
  StderrFilter() {
    const int buffer = memfd_create("tfgeo-stderr", MFD_CLOEXEC);
    if (buffer < 0) return;
    saved_ = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (saved_ >= 0 && dup2(buffer, STDERR_FILENO) >= 0) {
      buffer_ = buffer;
    } else {
      close(buffer);
    }
  }

  ~StderrFilter() {
    if (saved_ < 0) return;
    if (buffer_ >= 0) {
      fflush(stderr);
      dup2(saved_, STDERR_FILENO);
      PassOn();
      close(buffer_);
    }
    close(saved_);
  }

 private:
  static bool IsInformational(const std::string& line) {
    return line.rfind("WARNING: All log messages before absl::InitializeLog()", 0) == 0 ||
           (line.size() > 5 && line[0] == 'I' && isdigit(line[1]) && isdigit(line[2]) && isdigit(line[3]));
  }

  void PassOn() {
    lseek(buffer_, 0, SEEK_SET);
    FILE* file = fdopen(dup(buffer_), "r");
    if (file == nullptr) return;
    char* text = nullptr;
    size_t capacity = 0;
    for (ssize_t length; (length = getline(&text, &capacity, file)) > 0;) {
      if (!IsInformational(std::string(text, static_cast<size_t>(length)))) fwrite(text, 1, static_cast<size_t>(length), stderr);
    }
    free(text);
    fclose(file);
  }

  int saved_ = -1;
  int buffer_ = -1;
};

void OpenOrThrow(const std::string& path) {
  // Never closed: other libraries and threads of this process keep using it.
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    const char* reason = dlerror();
    throw Failure(reason ? reason : "dlopen failed", "TFGEO_DLOPEN");
  }
}

/**
 * openGlobal(path, quiet): dlopen with RTLD_NOW | RTLD_GLOBAL; throws the linker's message. `quiet` leaves out
 * informational lines that the library writes while it is being opened.
 */
napi_value OpenGlobal(napi_env env, napi_callback_info info) {
  auto [js_path, js_quiet] = Arguments<2>(env, info);
  const std::string path = ToString(env, js_path, "path");
  if (ToBool(env, js_quiet, "quiet")) {
    StderrFilter filter;
    OpenOrThrow(path);
  } else {
    OpenOrThrow(path);
  }
  return Undefined(env);
}

/** setEnv(name, value): the process's own environment (process.env is a copy in workers and sandboxes). */
napi_value SetEnv(napi_env env, napi_callback_info info) {
  auto [name, value] = Arguments<2>(env, info);
  setenv(ToString(env, name, "name").c_str(), ToString(env, value, "value").c_str(), 1);
  return Undefined(env);
}

/**
 * setLogLevel(level): 0 everything, 1 warnings, 2 errors, 3 fatal only. TF_CPP_MIN_LOG_LEVEL does not reach what
 * newer TensorFlow logs through Abseil before main(); Abseil's own switch does. Its name carries the release it
 * came in, hence the list; where none matches, a line or two more is printed and nothing else changes.
 * @returns whether the switch was found. Call after the libraries are open.
 */
napi_value SetLogLevel(napi_env env, napi_callback_info info) {
  static const char* const kReleases[] = {"20250814", "20250512", "20250127", "20240722", "20240116", "20230802"};
  auto [level] = Arguments<1>(env, info);
  const int wanted = static_cast<int>(ToInt64(env, level, "log level"));
  bool found = false;
  for (const char* release : kReleases) {
    const std::string name =
        std::string("_ZN4absl12lts_") + release + "14SetMinLogLevelENS0_18LogSeverityAtLeastE";
    if (void* symbol = dlsym(RTLD_DEFAULT, name.c_str())) {
      reinterpret_cast<void (*)(int)>(symbol)(wanted);
      found = true;
    }
  }
  napi_value result = nullptr;
  Check(env, napi_get_boolean(env, found, &result));
  return result;
}

/**
 * libraryText(path, name): opens a library for nobody else, calls its function `const char* name(void)`.
 * @returns the text; null if the library has no function of that name.
 */
napi_value LibraryText(napi_env env, napi_callback_info info) {
  auto [js_path, js_name] = Arguments<2>(env, info);
  const std::string path = ToString(env, js_path, "path");
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    throw Failure(reason ? reason : "dlopen failed", "TFGEO_DLOPEN");
  }
  void* symbol = dlsym(library, ToString(env, js_name, "name").c_str());
  const char* text = symbol == nullptr ? nullptr : reinterpret_cast<const char* (*)()>(symbol)();
  napi_value result = nullptr;
  if (text == nullptr) {
    Check(env, napi_get_null(env, &result));
  } else {
    Check(env, napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result));
  }
  // Left open, like the others: unloading one would run the destructors of a CUDA runtime.
  return result;
}

}  // namespace
}  // namespace tfgeo

NAPI_MODULE_INIT() {
  const napi_property_descriptor table[] = {
      {"openGlobal", nullptr, tfgeo::Guard<tfgeo::OpenGlobal>, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"setEnv", nullptr, tfgeo::Guard<tfgeo::SetEnv>, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"setLogLevel", nullptr, tfgeo::Guard<tfgeo::SetLogLevel>, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"libraryText", nullptr, tfgeo::Guard<tfgeo::LibraryText>, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof table / sizeof table[0], table);
  return exports;
}
