//! The kind against a server that answers as told.

use std::{io::Read as _, sync::Mutex};

use axum::{body::Bytes, http::HeaderMap};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::testing::{Stand, job, problems, secrets, show, validate},
    proto::{LogsRequest, MetricsRequest, readable},
    *,
};
use crate::core::JobId;

const LOGS: &str = "kind: otlp\nurl: '%URL%/otlp'\nencoding: json\n";
const METRICS: &str = "kind: otlp\nurl: '%URL%'\nencoding: json\nsignal: metrics\nmetric: emote.events\n";

/// The body that was asked with, on lines.
fn pretty(stand: &Stand) -> String {
    let seen = stand.seen();
    let (head, body) = seen.split_once("\n\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    format!("{head}\n\n{}", serde_json::to_string_pretty(&body).unwrap())
}

#[tokio::test]
async fn a_log_record_is_written_as_the_specification_has_it_in_json() {
    let stand = Stand::replying(&[(200, &[], "{}")]).await;
    let yaml = format!(
        "{LOGS}severity: '\"warn\"'\nattributes: '{{n: 7, half: 0.5, list: [true, null], map: {{a: \"b\"}}}}'\n\
        resource: {{deployment.environment.name: production}}\nauth: {{bearer: '${{file:token}}'}}"
    );
    let outcome = stand.deliver(&yaml, &job(), &json!("a Mac has enrolled")).await;
    assert_eq!(show(&outcome), r#"done telemetry.otlp_logs {"target":"the-target"}"#);
    insta::assert_snapshot!(pretty(&stand), @r#"
    POST /otlp/v1/logs
    authorization: Bearer t0ken-hunter2
    content-type: application/json

    {
      "resourceLogs": [
        {
          "resource": {
            "attributes": [
              {
                "key": "deployment.environment.name",
                "value": {
                  "stringValue": "production"
                }
              },
              {
                "key": "host.id",
                "value": {
                  "stringValue": "C02XL0GTJGH5"
                }
              },
              {
                "key": "host.name",
                "value": {
                  "stringValue": "ada-mbp"
                }
              },
              {
                "key": "service.name",
                "value": {
                  "stringValue": "emote"
                }
              }
            ]
          },
          "scopeLogs": [
            {
              "logRecords": [
                {
                  "attributes": [
                    {
                      "key": "emote.event.id",
                      "value": {
                        "stringValue": "a64c29d5-87af-5257-b215-b904e4a840d8"
                      }
                    },
                    {
                      "key": "emote.event.source",
                      "value": {
                        "stringValue": "jamf"
                      }
                    },
                    {
                      "key": "emote.event.trust",
                      "value": {
                        "stringValue": "verified"
                      }
                    },
                    {
                      "key": "emote.job",
                      "value": {
                        "stringValue": "a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target"
                      }
                    },
                    {
                      "key": "emote.rule",
                      "value": {
                        "stringValue": "the-rule"
                      }
                    },
                    {
                      "key": "half",
                      "value": {
                        "doubleValue": 0.5
                      }
                    },
                    {
                      "key": "list",
                      "value": {
                        "arrayValue": {
                          "values": [
                            {
                              "boolValue": true
                            },
                            {}
                          ]
                        }
                      }
                    },
                    {
                      "key": "map",
                      "value": {
                        "kvlistValue": {
                          "values": [
                            {
                              "key": "a",
                              "value": {
                                "stringValue": "b"
                              }
                            }
                          ]
                        }
                      }
                    },
                    {
                      "key": "n",
                      "value": {
                        "intValue": "7"
                      }
                    }
                  ],
                  "body": {
                    "stringValue": "a Mac has enrolled"
                  },
                  "eventName": "device.enroll",
                  "severityNumber": 13,
                  "severityText": "WARN",
                  "spanId": "b215b904e4a840d8",
                  "timeUnixNano": "1795416060000000000",
                  "traceId": "a64c29d587af5257b215b904e4a840d8"
                }
              ],
              "scope": {
                "name": "emote",
                "version": "0.1.0"
              }
            }
          ]
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn a_job_is_a_point_of_a_metric() {
    let stand = Stand::replying(&[(200, &[], "")]).await;
    let yaml = format!(
        "{METRICS}unit: '{{event}}'\ndescription: Events\nvalue: .input\nattributes: '{{action: .event.action}}'"
    );
    let outcome = stand.deliver(&yaml, &job(), &json!(3)).await;
    assert_eq!(show(&outcome), r#"done telemetry.otlp_metrics {"target":"the-target"}"#);
    insta::assert_snapshot!(pretty(&stand), @r#"
    POST /v1/metrics
    content-type: application/json

    {
      "resourceMetrics": [
        {
          "resource": {
            "attributes": [
              {
                "key": "host.id",
                "value": {
                  "stringValue": "C02XL0GTJGH5"
                }
              },
              {
                "key": "host.name",
                "value": {
                  "stringValue": "ada-mbp"
                }
              },
              {
                "key": "service.name",
                "value": {
                  "stringValue": "emote"
                }
              }
            ]
          },
          "scopeMetrics": [
            {
              "metrics": [
                {
                  "description": "Events",
                  "name": "emote.events",
                  "sum": {
                    "aggregationTemporality": 1,
                    "dataPoints": [
                      {
                        "asInt": "3",
                        "attributes": [
                          {
                            "key": "action",
                            "value": {
                              "stringValue": "enroll"
                            }
                          }
                        ],
                        "startTimeUnixNano": "1795416059999000000",
                        "timeUnixNano": "1795416060000000000"
                      }
                    ],
                    "isMonotonic": true
                  },
                  "unit": "{event}"
                }
              ],
              "scope": {
                "name": "emote",
                "version": "0.1.0"
              }
            }
          ]
        }
      ]
    }
    "#);
    stand.deliver(&format!("{METRICS}type: gauge\nvalue: '-0.5'"), &job(), &json!(3)).await;
    let seen = stand.seen();
    assert!(seen.contains(r#""gauge":{"dataPoints":[{"attributes":[],"startTimeUnixNano":"0""#), "{seen}");
    assert!(seen.contains(r#""asDouble":-0.5"#), "{seen}");
}

#[tokio::test]
async fn what_the_server_answers_decides() {
    const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
    let partly = r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#;
    let warned = r#"{"partialSuccess":{"errorMessage":"soon gone"}}"#;
    for (status, headers, reply, expected) in [
        (200, JSON, partly, "never the server has rejected it: too old"),
        (200, JSON, r#"{"partialSuccess":{"rejectedLogRecords":1}}"#, "never the server has rejected it: "),
        (200, JSON, warned, r#"done telemetry.otlp_logs {"said":"soon gone","target":"the-target"}"#),
        (200, JSON, "<html>", r#"done telemetry.otlp_logs {"target":"the-target"}"#),
        (400, JSON, r#"{"code":3,"message":"no"}"#, r#"never answered 400 Bad Request: {"code":3,"message":"no"}"#),
        (408, &[], "", "never answered 408 Request Timeout"),
        (500, &[], "", "never answered 500 Internal Server Error"),
        (429, &[("retry-after", "7")], "", "retry 7s answered 429 Too Many Requests"),
        (502, &[], "", "retry answered 502 Bad Gateway"),
        (503, &[("retry-after", "30")], "busy", "retry 30s answered 503 Service Unavailable: busy"),
        (504, &[], "", "retry answered 504 Gateway Timeout"),
    ] {
        let stand = Stand::replying(&[(status, headers, reply)]).await;
        assert_eq!(show(&stand.deliver(LOGS, &job(), &json!("x")).await), expected, "{status} {reply}");
    }
}

/// A server that keeps what it is sent and answers with these bytes.
async fn raw(status: u16, reply: Vec<u8>) -> (String, Arc<Mutex<Vec<(HeaderMap, Bytes)>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let app = axum::Router::new().fallback(move |headers: HeaderMap, body: Bytes| async move {
        kept.lock().unwrap().push((headers, body));
        (http::StatusCode::from_u16(status).unwrap(), [("content-type", PROTOBUF)], reply)
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, seen)
}

async fn deliver_all(yaml: &str, url: &str, count: usize) -> Vec<String> {
    let folder = secrets();
    let target = validate(&yaml.replace("%URL%", url)).unwrap().resolve(folder.path()).unwrap();
    let of = |index: usize| {
        let job = job();
        let node = json!({"serial": format!("C02XL0GTJGH{}", index % 2)});
        let id = JobId::new(job.event.id, &job.rule, &job.target, Some(&index.to_string()));
        Job { id, node: Some(node.into()), ..job }
    };
    let jobs: Vec<Job> = (0..count).map(of).collect();
    let inputs: Vec<Value> = (0..count).map(|index| json!({"index": index})).collect();
    let pairs: Vec<(&Job, &Value)> = jobs.iter().zip(&inputs).collect();
    target.deliver_batch(&pairs).await.iter().map(show).collect()
}

#[tokio::test]
async fn several_jobs_are_one_request_with_a_resource_for_each_mac() {
    let reply = Response { partial_success: Some(Partial { rejected: 300, error_message: "too old".to_owned() }) };
    let (url, seen) = raw(200, reply.encode_to_vec()).await;
    let outcomes = deliver_all("kind: otlp\nurl: '%URL%'\ncompress: gzip", &url, 5).await;
    let expected = r#"done telemetry.otlp_logs {"of":5,"rejected":300,"said":"too old","target":"the-target"}"#;
    assert_eq!(outcomes, [expected; 5]);
    let seen = seen.lock().unwrap();
    assert_eq!(
        (seen.len(), &seen[0].0["content-type"], &seen[0].0["content-encoding"]),
        (1, &PROTOBUF.parse().unwrap(), &"gzip".parse().unwrap())
    );
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(seen[0].1.as_ref()).read_to_end(&mut body).unwrap();
    let request = LogsRequest::decode(body.as_slice()).unwrap();
    let counts: Vec<usize> = request.resource_logs.iter().map(|of| of.scope_logs[0].log_records.len()).collect();
    assert_eq!(counts, [3, 2]);
    assert!(readable("/v1/logs", &body).unwrap().contains(r#""stringValue":"C02XL0GTJGH1""#));
}

#[tokio::test]
async fn an_answer_in_protobuf_is_read_as_such() {
    let status = Status { message: "no such tenant".to_owned() };
    let (url, seen) = raw(400, status.encode_to_vec()).await;
    let yaml = "kind: otlp\nurl: '%URL%/v1/metrics'\nsignal: metrics\nmetric: m";
    assert_eq!(deliver_all(yaml, &url, 1).await, ["never answered 400 Bad Request: no such tenant"]);
    let seen = seen.lock().unwrap();
    let request = MetricsRequest::decode(seen[0].1.as_ref()).unwrap();
    assert_eq!(request.resource_metrics[0].scope_metrics[0].metrics[0].name, "m");
}

#[tokio::test]
async fn what_is_no_record_and_no_point_is_said() {
    let stand = Stand::replying(&[(200, &[], "")]).await;
    for (yaml, input, said) in [
        (
            format!("{LOGS}severity: .input"),
            json!("loud"),
            "never severity: expected one of trace, debug, info, warn, error, fatal, or a number from 1 to 24",
        ),
        (format!("{LOGS}severity: .input"), json!(25), "never severity: "),
        (format!("{LOGS}attributes: .input"), json!([]), "never attributes: expected an object, found a list"),
        (format!("{METRICS}value: .input"), json!("1"), "never value: expected a number, found a text"),
        (format!("{METRICS}value: .input"), json!(-1), "never value: a sum only grows"),
        (LOGS.to_owned(), json!("x".repeat(5_000_000)), "never 15"),
    ] {
        let outcome = show(&stand.deliver(&yaml, &job(), &input).await);
        assert!(outcome.starts_with(said), "{outcome}");
    }
    assert_eq!(stand.seen(), "");
    for (severity, expected) in [
        (json!(null), "9,\"severityText\":\"INFO\""),
        (json!("Error"), "17,\"severityText\":\"ERROR\""),
        (json!(24), "24,\"severityText\":\"FATAL\""),
        (json!(10), "10,\"severityText\":\"INFO\""),
    ] {
        stand.deliver(&format!("{LOGS}severity: .input"), &job(), &severity).await;
        let seen = stand.seen();
        assert!(seen.contains(&format!("\"severityNumber\":{expected}")), "{seen}");
    }
}

#[test]
fn the_settings_are_checked() {
    insta::assert_snapshot!(problems("kind: otlp\nencoding: xml\ncompress: zstd\nsignal: traces\nmetric: x\nresource: {a: []}"), @r"
    url: is missing: for example url: https://otlp.example.com
    encoding: expected protobuf or json
    compress: expected none or gzip
    signal: expected logs or metrics
    resource.a: expected a text, a number, true or false, found a list
    metric: is for signal: metrics
    ");
    insta::assert_snapshot!(problems("kind: otlp\nurl: http://x.example\nsignal: metrics\nmetric: 0x\nbody: .x\ntype: histogram"), @r"
    url: plain http would show the request to everyone on the way: use https, or say `insecure: true`
    body: is for signal: logs
    metric: expected a name such as emote.events: letters, digits and _ . - /, a letter first
    type: expected gauge or sum
    ");
    insta::assert_snapshot!(problems("kind: otlp\nurl: https://x.example\nsignal: metrics"), @"metric: is missing: for example metric: emote.events");
}

proptest! {
    #[test]
    fn no_answer_in_protobuf_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100), status in 200_u16..600) {
        drop(accepted(&Answer { status, protobuf: Some(bytes), ..Answer::default() }));
    }
}
