"""Takes OTLP over HTTP and Prometheus' remote write on 127.0.0.1:argv[1], read with OpenTelemetry's own messages and Google's
protobuf. Writes what it took to argv[2], a line of JSON each; every fourth request is told to come again."""

import base64
import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics

port, kept = sys.argv[1:]
count = 0


def write_request():
    """prometheus.WriteRequest of remote write 1.0."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="prometheus", syntax="proto3")
    for name, fields in {
        "Label": [("name", field.TYPE_STRING), ("value", field.TYPE_STRING)],
        "Sample": [("value", field.TYPE_DOUBLE), ("timestamp", field.TYPE_INT64)],
        "TimeSeries": [("labels", "Label"), ("samples", "Sample")],
        "WriteRequest": [("timeseries", "TimeSeries")],
    }.items():
        message = file.message_type.add(name=name)
        for number, (of, kind) in enumerate(fields, 1):
            one = message.field.add(name=of, number=number, label=field.LABEL_OPTIONAL)
            if isinstance(kind, str):
                one.type, one.type_name, one.label = field.TYPE_MESSAGE, f".prometheus.{kind}", field.LABEL_REPEATED
            else:
                one.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


WriteRequest = write_request()


def snappy(packed):
    """The block format (https://github.com/google/snappy/blob/main/format_description.txt)."""
    at, size, shift = 0, 0, 0
    while True:
        size |= (packed[at] & 0x7F) << shift
        shift += 7
        at += 1
        if packed[at - 1] < 0x80:
            break
    out = bytearray()
    while at < len(packed):
        tag = packed[at]
        kind, at = tag & 3, at + 1
        if kind == 0:
            length, more = tag >> 2, max(0, (tag >> 2) - 59)
            if more:
                length = int.from_bytes(packed[at : at + more], "little")
            at += more
            out += packed[at : at + length + 1]
            at += length + 1
            continue
        if kind == 1:
            length, offset, used = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | packed[at], 1
        else:
            used = 2 if kind == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(packed[at : at + used], "little")
        at += used
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size, (len(out), size)
    return bytes(out)


def ids_as_protobuf(value):
    """OTLP writes the ids of traces and spans in hexadecimal, JSON of protobuf would in base64."""
    if isinstance(value, list):
        return [ids_as_protobuf(one) for one in value]
    if isinstance(value, dict):
        return {
            key: base64.b64encode(bytes.fromhex(one)).decode() if key in ("traceId", "spanId") else ids_as_protobuf(one)
            for key, one in value.items()
        }
    return value


def otlp(request, headers, body):
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    if headers["content-type"] == "application/json":
        json_format.ParseDict(ids_as_protobuf(json.loads(body)), request)
    else:
        assert headers["content-type"] == "application/x-protobuf", headers
        request.ParseFromString(body)
        assert request.SerializeToString() == body, "what is not known was in it"
    return request


def plain(value):
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return pairs(value.kvlist_value.values)
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None


def pairs(values):
    return {one.key: plain(one.value) for one in values}


def taken(path, headers, body):
    if path == "/api/v1/write":
        assert headers["x-prometheus-remote-write-version"] == "0.1.0" and headers["content-encoding"] == "snappy"
        request = WriteRequest.FromString(snappy(body))
        for series in request.timeseries:
            names = [label.name for label in series.labels]
            times = [sample.timestamp for sample in series.samples]
            assert names == sorted(set(names)) and times == sorted(set(times)), series
            labels = {label.name: label.value for label in series.labels}
            for sample in series.samples:
                yield {"labels": labels, "value": sample.value, "time": sample.timestamp}
    elif path == "/v1/logs":
        for of in otlp(logs.ExportLogsServiceRequest(), headers, body).resource_logs:
            for record in of.scope_logs[0].log_records:
                yield {
                    "resource": pairs(of.resource.attributes),
                    "scope": of.scope_logs[0].scope.name,
                    "body": plain(record.body),
                    "attributes": pairs(record.attributes),
                    "severity": [record.severity_number, record.severity_text],
                    "name": record.event_name,
                    "time": record.time_unix_nano,
                    "trace": record.trace_id.hex(),
                    "span": record.span_id.hex(),
                }
    else:
        assert path == "/v1/metrics", path
        for of in otlp(metrics.ExportMetricsServiceRequest(), headers, body).resource_metrics:
            (metric,) = of.scope_metrics[0].metrics
            for point in metric.sum.data_points:
                yield {
                    "resource": pairs(of.resource.attributes),
                    "name": metric.name,
                    "unit": metric.unit,
                    "attributes": pairs(point.attributes),
                    "value": getattr(point, point.WhichOneof("value")),
                    "interval": point.time_unix_nano - point.start_time_unix_nano,
                    "sum": [metric.sum.aggregation_temporality, metric.sum.is_monotonic],
                }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global count
        count += 1
        body = self.rfile.read(int(self.headers["content-length"]))
        lines = [json.dumps({"path": self.path, **one}) + "\n" for one in taken(self.path, self.headers, body)]
        again = count % 4 == 0
        if not again:
            with open(kept, "a") as file:
                file.writelines(lines)
        self.send_response(503 if again else 200)
        if again:
            self.send_header("retry-after", "0")
        self.send_header("content-type", self.headers["content-type"])
        self.send_header("content-length", "0")
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
