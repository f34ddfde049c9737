# SPDX-License-Identifier: Apache-2.0
"""Loads SavedModels with tf.saved_model.load and compares their answers with the examples that they carry.

    python saved_model.py [--ops LIBRARY] FOLDER...   one line of JSON for each: {"name", "passed", "detail"}

The examples are the requests and responses of assets.extra/tf_serving_warmup_requests (tensorflow.serving.PredictionLog).
"""
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from reports import outcome, report
from tensorflow.core.framework import tensor_pb2

TOLERANCE = 1e-4

# Field numbers of tensorflow_serving/apis/prediction_log.proto, predict.proto and model.proto.
PREDICT_LOG, REQUEST, RESPONSE = 6, 1, 2
MODEL_SPEC, INPUTS, OUTPUTS, SIGNATURE_NAME = 1, 2, 1, 3


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """Length-delimited fields of a message, as (number, contents)."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 2:
            length, at = varint(data, at)
            yield tag >> 3, data[at : at + length]
            at += length
        elif tag & 7 == 0:
            _, at = varint(data, at)
        else:
            at += 8 if tag & 7 == 1 else 4


def one(data, number):
    return next((value for key, value in fields(data) if key == number), b"")


def tensors(data, number):
    found = {}
    for key, entry in fields(data):
        if key == number:
            proto = tensor_pb2.TensorProto.FromString(one(entry, 2))
            found[one(entry, 1).decode()] = tf.make_ndarray(proto)
    return found


def examples(folder):
    path = os.path.join(folder, "assets.extra", "tf_serving_warmup_requests")
    for record in tf.data.TFRecordDataset([path]):
        log = one(record.numpy(), PREDICT_LOG)
        request, response = one(log, REQUEST), one(log, RESPONSE)
        signature = one(one(request, MODEL_SPEC), SIGNATURE_NAME).decode()
        yield signature, tensors(request, INPUTS), tensors(response, OUTPUTS)


def gaps(expected, actual):
    """Differences, relative where values are above 1; infinite for NaN, nothing for equal infinities."""
    with np.errstate(invalid="ignore"):
        gap = np.abs(expected - actual) / np.maximum(1, np.abs(expected))
    return np.where(expected == actual, 0, np.where(np.isnan(gap), np.inf, gap))


def rows(outputs, item):
    """One row a query: all outputs that have queries, side by side."""
    parts = [value[item].reshape(value.shape[1], -1) for _, value in sorted(outputs.items()) if value.ndim > 1]
    return np.concatenate([part.astype(np.float64) for part in parts], 1)


def compare(expected, actual):
    largest = 0.0
    for name, value in expected.items():
        if actual[name].shape != value.shape:
            raise ValueError(f"{name} has shape {actual[name].shape} instead of {value.shape}")
        if value.ndim == 1:
            largest = max(largest, gaps(value.astype(np.float64), actual[name]).max())
    batch = next(value.shape[0] for value in expected.values())
    for item in range(batch):
        # Rows are a set: where two have nearly the same score, rounding may exchange them.
        wanted, given = rows(expected, item), rows(actual, item)
        for i, row in enumerate(wanted):
            distances = gaps(row, given).max(axis=1)
            best = int(distances.argmin())
            largest = max(largest, distances[best])
            given = np.delete(given, best, axis=0)
    return float(largest)


def check(folder):
    loaded = tf.saved_model.load(folder)
    largest = 0.0
    count = 0
    for signature, inputs, outputs in examples(folder):
        answer = loaded.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
        largest = max(largest, compare(outputs, {name: value.numpy() for name, value in answer.items()}))
        count += 1
    return outcome(folder, TOLERANCE, largest, count, f"{count} examples")


arguments = sys.argv[1:]
if arguments[:1] == ["--ops"]:
    tf.load_op_library(arguments[1])
    arguments = arguments[2:]
report(check, arguments)
