//! What a reader of configuration asks for: its keys, and what each may hold.
//!
//! [`Fields`](super::fields::Fields) notes every key that is asked for, with the form it is asked in. So the shape of a
//! file cannot say anything else than what its reader does: [`explore`](super::explore::explore) reads until it has seen
//! all of it, and [`crate::schema::files`] writes it down as a JSON Schema.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use serde_json::{Value, json};

/// What a key may hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    /// Anything, as far as is known.
    Any,
    /// A text; these are such texts, if any are known.
    Text(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A whole number of this range.
    Number(u32, u32),
    /// A length of time.
    Duration(RangeInclusive<Duration>),
    /// A size in bytes.
    Size,
    /// A text in which references to secrets may stand.
    Template,
    /// A reference to a secret.
    Secret,
    /// A jq program.
    Jq,
    /// One of these words.
    Words(Vec<&'static str>),
    /// An object whose own keys are free.
    Entries,
    /// An object; nothing in it where none was read yet.
    Object(Option<Shape>),
    /// A list of such.
    List(Box<Form>),
    /// A pattern of events.
    Pattern,
    /// An event.
    Event,
    /// This value and no other.
    Is(Value),
    /// Any of these.
    Either(Vec<Form>),
}

/// The keys of an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shape {
    pub(crate) keys: BTreeMap<&'static str, Key>,
    /// The key whose word decides which others there are.
    pub(crate) fork: Option<Fork>,
}

/// A key, and the whole object for each of its words.
pub(crate) type Fork = (&'static str, Vec<(&'static str, Shape)>);

/// What is known of a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) form: Form,
    /// Whether its absence is a problem, whatever else there is.
    pub(crate) required: bool,
    /// What is written where it is missing.
    pub(crate) example: Option<String>,
}

impl Shape {
    /// Of an object that has no keys.
    pub(crate) const fn nothing() -> Self {
        Self { keys: BTreeMap::new(), fork: None }
    }

    /// Notes that `key` is asked for in this form.
    pub(crate) fn ask(&mut self, key: &'static str, form: Form) {
        match self.keys.get_mut(key) {
            Some(known) => known.form.add(form),
            None => drop(self.keys.insert(key, Key { form, required: false, example: None })),
        }
    }

    /// Notes that it is a problem if `key` is missing.
    pub(crate) fn require(&mut self, key: &'static str, example: &str) {
        self.ask(key, Form::Any);
        if let Some(key) = self.keys.get_mut(key) {
            key.required = true;
            key.example = Some(example.to_owned());
        }
    }

    /// Notes what an element of the list at `key` is asked for.
    pub(crate) fn element(&mut self, key: &str, element: Self) {
        if let Some(known) = self.keys.get_mut(key) {
            known.form.add(Form::List(Box::new(Form::Object(Some(element)))));
        }
    }

    /// What is asked for in either of two readings of the same object.
    pub(crate) fn merge(&mut self, other: Self) {
        for (name, key) in &mut self.keys {
            key.required &= other.keys.get(name).is_some_and(|other| other.required);
        }
        for (name, key) in other.keys {
            match self.keys.get_mut(name) {
                Some(known) => {
                    known.form.add(key.form);
                    known.example = known.example.take().or(key.example);
                }
                None => drop(self.keys.insert(name, Key { required: false, ..key })),
            }
        }
        self.fork = self.fork.take().or(other.fork);
    }

    /// Notes which keys there are with each word of one. What is asked for with all of them is known here.
    pub(crate) fn divide(&mut self, (fork, mut variants): Fork) {
        for (_, variant) in &mut variants {
            for (name, known) in &self.keys {
                match variant.keys.get_mut(name) {
                    Some(key) => key.form = known.form.clone(),
                    // Asked for because of another key.
                    None => drop(variant.keys.insert(name, Key { required: false, ..known.clone() })),
                }
            }
        }
        self.fork = Some((fork, variants));
    }

    /// The object to which these keys lead, through lists.
    pub(crate) fn at(&self, path: &[&'static str]) -> Option<&Self> {
        path.iter().try_fold(self, |shape, key| shape.keys.get(key)?.form.object())
    }

    /// Likewise, to be changed.
    pub(crate) fn at_mut(&mut self, path: &[&'static str]) -> Option<&mut Self> {
        path.iter().try_fold(self, |shape, key| shape.keys.get_mut(key)?.form.object_mut())
    }
}

impl Form {
    /// Values that a reader takes for it, to see what it asks for then.
    pub(super) fn samples(&self) -> Vec<Value> {
        match self {
            Self::Any => vec![json!("x"), json!(true)],
            Self::Text([]) => vec![json!("x")],
            Self::Text(such) => such.iter().map(|text| json!(text)).collect(),
            Self::Flag => vec![json!(true), json!(false)],
            Self::Number(least, _) => vec![json!(least)],
            Self::Duration(_) => vec![json!("1m")],
            Self::Size => vec![json!("1MiB")],
            Self::Template => vec![json!("${env:X}"), json!("https://localhost")],
            Self::Secret => vec![json!("${env:X}")],
            Self::Jq => vec![json!(".")],
            Self::Words(words) => words.iter().map(|word| json!(word)).collect(),
            Self::Entries => vec![json!({"x": "x"})],
            Self::Object(_) => vec![json!({})],
            Self::List(of) => of.samples().into_iter().chain([json!({})]).map(|one| json!([one])).collect(),
            Self::Pattern => vec![json!({"scope": ["device"]})],
            Self::Event => vec![json!({"scope": "device", "action": "enroll"})],
            Self::Is(value) => vec![value.clone()],
            Self::Either(forms) => forms.iter().flat_map(Self::samples).collect(),
        }
    }

    fn add(&mut self, other: Self) {
        match (&mut *self, other) {
            (_, Self::Any) => {}
            (Self::Any, other) => *self = other,
            (Self::Object(Some(known)), Self::Object(Some(other))) => known.merge(other),
            (Self::Object(known @ None), Self::Object(other)) => *known = other,
            (Self::Object(_), Self::Object(None)) => {}
            (Self::List(known), Self::List(other)) => known.add(*other),
            (Self::Either(forms), Self::Either(others)) => others.into_iter().for_each(|other| add_to(forms, other)),
            (Self::Either(forms), other) => add_to(forms, other),
            (_, Self::Either(mut forms)) => {
                add_to(&mut forms, self.clone());
                *self = Self::Either(forms);
            }
            (known, other) if *known != other => *self = Self::Either(vec![known.clone(), other]),
            _ => {}
        }
    }

    fn object(&self) -> Option<&Shape> {
        match self {
            Self::Object(shape) => shape.as_ref(),
            Self::List(of) => of.object(),
            Self::Either(forms) => forms.iter().find_map(Self::object),
            _ => None,
        }
    }

    fn object_mut(&mut self) -> Option<&mut Shape> {
        match self {
            Self::Object(shape) => shape.as_mut(),
            Self::List(of) => of.object_mut(),
            Self::Either(forms) => forms.iter_mut().find_map(Self::object_mut),
            _ => None,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(_), Self::Object(_)) | (Self::List(_), Self::List(_)) => true,
            (known, other) => known == other,
        }
    }
}

fn add_to(forms: &mut Vec<Form>, other: Form) {
    match forms.iter_mut().find(|known| known.is_like(&other)) {
        Some(known) => known.add(other),
        None if other == Form::Any => {}
        None => forms.push(other),
    }
}
