# What jq has and jaq lacks.
def IN(values): . as $x | any(values; . == $x);
def IN(source; values): any(source; IN(values));
def INDEX(stream; key): reduce stream as $row ({}; . + {($row | key | tostring): $row});
def INDEX(key): INDEX(.[]; key);
def toarray: if type == "array" then . else [.] end;
def trimstr($text): ltrimstr($text) | rtrimstr($text);
def ascii: [.] | implode;
def @csv: map(if type == "string" then "\"" + gsub("\""; "\"\"") + "\"" elif . == null then "" else tostring end) | join(",");
def @tsv: map(if . == null then "" else tostring | gsub("\\\\"; "\\\\") | gsub("\t"; "\\t") | gsub("\n"; "\\n") | gsub("\r"; "\\r") end) | join("\t");
# What maps of vendors' payloads want again and again.
def present: with_entries(select(.value | . != null and . != "" and . != {} and . != []));
def text: if type == "string" or type == "number" then tostring else null end;
def object: if type == "object" then . else {} end;
def list: if type == "array" then . elif . == null then [] else [.] end;
def email: if type == "string" and length <= 128 and contains("@") and test("^[^@\\s]+@[^@\\s]+$") then . else null end;
def first_text(values): first((values | text | select(. != null and . != "" and . != "null")), null);
def said: text | if . == null then null else trim | if ascii_downcase | IN("", "null", "none", "unknown", "n/a", "undefined", "not applicable") then null else . end end;
def serial: said | if . != null and length <= 128 and (explode | all(. > 31 and . < 127) and any(. != 48)) and (ascii_downcase
  | IN("system serial number", "default string", "to be filled by o.e.m.", "to be filled by o.e.m", "not specified", "not available")
  | not) then . else null end;
def raw: if type == "object" and keys == ["unknown"] then .unknown else . end;
def link($rel): if type == "string" then first((split(",")[] | capture("<(?<to>[^>]*)>(?<about>.*)") | select(.about | test("rel=\"?" + $rel + "\"?(;|\\s|$)")) | .to), null) else null end;
