//! What is said of an address in the `OpenAPI` document, and who answers there.

use axum::http::Method;
use axum::routing::MethodRouter;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::AppState;

/// One method of one address, described.
pub(super) struct Operation {
    pub(super) method: Method,
    /// With `{names}`, as axum and `OpenAPI` both write them.
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) details: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Sent,
    pub(super) answers: Vec<Answer>,
    pub(super) handler: fn() -> MethodRouter<AppState>,
}

/// Something besides the path that a request may say.
pub(super) struct Parameter {
    pub(super) place: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) meaning: &'static str,
}

/// The body of a request.
pub(super) enum Sent {
    Nothing,
    Form(Vec<FormField>),
    /// Of either kind.
    AnyForm(Vec<FormField>),
    FormOrJson(Vec<FormField>, Shape),
    /// May be left out.
    Json(Shape),
    /// A file as it is.
    Bytes,
    /// Bytes that are made while they are sent.
    Live,
}

/// Makes the schema of a type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// A field of a `multipart/form-data` body.
pub(super) struct FormField {
    pub(super) name: &'static str,
    pub(super) is_file: bool,
    pub(super) needed: bool,
    pub(super) many: bool,
    pub(super) meaning: &'static str,
}

/// What may come back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) meaning: &'static str,
    pub(super) content: Content,
}

pub(super) enum Content {
    Nothing,
    Json(Shape),
    /// One of these types.
    Bytes(&'static [&'static str]),
    Problem,
}

impl Operation {
    pub(super) fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        handler: fn() -> MethodRouter<AppState>,
    ) -> Self {
        let (details, parameters, answers) = ("", Vec::new(), Vec::new());
        Self { method, path, id, summary, details, parameters, body: Sent::Nothing, answers, handler }
    }

    pub(super) fn details(mut self, details: &'static str) -> Self {
        self.details = details;
        self
    }

    pub(super) fn query(mut self, name: &'static str, kind: &'static str, meaning: &'static str) -> Self {
        self.parameters.push(Parameter { place: "query", name, kind, meaning });
        self
    }

    pub(super) fn header(mut self, name: &'static str, meaning: &'static str) -> Self {
        self.parameters.push(Parameter { place: "header", name, kind: "string", meaning });
        self
    }

    pub(super) fn form(mut self, fields: Vec<FormField>) -> Self {
        self.body = Sent::Form(fields);
        self
    }

    pub(super) fn any_form(mut self, fields: Vec<FormField>) -> Self {
        self.body = Sent::AnyForm(fields);
        self
    }

    pub(super) fn takes<T: JsonSchema>(mut self) -> Self {
        let shape: Shape = |generator| generator.subschema_for::<T>();
        self.body = match self.body {
            Sent::Form(fields) => Sent::FormOrJson(fields, shape),
            _ => Sent::Json(shape),
        };
        self
    }

    pub(super) fn takes_file(mut self) -> Self {
        self.body = Sent::Bytes;
        self
    }

    pub(super) fn takes_live(mut self) -> Self {
        self.body = Sent::Live;
        self
    }

    pub(super) fn answer(mut self, status: u16, meaning: &'static str, content: Content) -> Self {
        self.answers.push(Answer { status, meaning, content });
        self
    }

    pub(super) fn json<T: JsonSchema>(self, status: u16, meaning: &'static str) -> Self {
        self.answer(status, meaning, Content::Json(|generator| generator.subschema_for::<T>()))
    }

    pub(super) fn bytes(self, types: &'static [&'static str], meaning: &'static str) -> Self {
        self.answer(200, meaning, Content::Bytes(types))
    }

    pub(super) fn empty(self, status: u16, meaning: &'static str) -> Self {
        self.answer(status, meaning, Content::Nothing)
    }

    pub(super) fn problem(self, status: u16, meaning: &'static str) -> Self {
        self.answer(status, meaning, Content::Problem)
    }
}

pub(super) fn text(name: &'static str, meaning: &'static str) -> FormField {
    FormField { name, is_file: false, needed: false, many: false, meaning }
}

pub(super) fn file(name: &'static str, meaning: &'static str) -> FormField {
    FormField { is_file: true, ..text(name, meaning) }
}

pub(super) fn needed(field: FormField) -> FormField {
    FormField { needed: true, ..field }
}
