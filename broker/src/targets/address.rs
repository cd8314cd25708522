//! The address that a target sends to: read from its file, then with its secrets.

use reqwest::Url;

use super::{Script, spec::Setup, wire};
use crate::config::{Problems, Secret, fields::Fields, text::Template};

/// The address at `key`, checked as far as no secret is in it.
pub(crate) fn read(fields: &mut Fields<'_>, key: &'static str, insecure: bool, example: &str) -> Option<Template> {
    let template = fields.template(key);
    let template = fields.require(key, template, example)?;
    match template.plain().map(|text| wire::endpoint(text, insecure)) {
        Some(Err(error)) => {
            fields.problem(key, error);
            None
        }
        _ => Some(template),
    }
}

/// The address with its secrets in it, and what of it must not be shown.
pub(crate) fn resolve(
    template: &Template,
    key: &str,
    insecure: bool,
    setup: &Setup<'_>,
    problems: &mut Problems,
) -> Option<(Url, Vec<Secret>)> {
    let filled = problems.take(key, setup.filled(template))?;
    let stands_in = setup.script.is_some_and(|script| script.stands_in());
    let url = match filled.text.expose() {
        // An address that is all secret: what stands in for it is none.
        text if stands_in && !text.contains("://") => wire::endpoint(&Script::address(text), insecure),
        text => wire::endpoint(text, insecure),
    };
    let url = problems.take(key, url)?;
    let mut secrets = filled.secrets;
    if !secrets.is_empty() {
        // Servers like to quote the path that they do not know.
        secrets.push(Secret::new(url.path().trim_matches('/')));
        secrets.push(filled.text);
    }
    Some((url, secrets))
}
