//! Values and failures on their way to JavaScript and back.

use js_sys::{Error, Function, Reflect};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_wasm_bindgen::Serializer as ToJs;
use wasm_bindgen::prelude::*;

pub type Answer = Result<JsValue, Failure>;

/// Why there is no answer.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub code: Option<&'static str>,
    /// The setting that is at fault, where it is one.
    pub field: Option<&'static str>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), code: None, field: None }
    }

    /// What is wrong with a setting.
    pub fn of(field: &'static str) -> impl FnOnce(fanin::Error) -> Failure {
        move |error| Failure { field: Some(field), ..Failure::new(format!("{field}: {error}")) }
    }

    /// One of a kind that the page knows.
    pub fn coded(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { code: Some(code), ..Failure::new(message) }
    }
}

impl From<fanin::Error> for Failure {
    fn from(error: fanin::Error) -> Failure {
        Failure::new(error.to_string())
    }
}

impl From<Failure> for JsValue {
    fn from(failure: Failure) -> JsValue {
        let error = Error::new(&failure.message);
        for (name, value) in [("code", failure.code), ("field", failure.field)] {
            if let Some(value) = value {
                let _ = Reflect::set(&error, &name.into(), &value.into());
            }
        }
        error.into()
    }
}

/// Arguments, as an object has them.
///
/// # Errors
/// Where the object has not what is needed: the field, and what it should be.
pub fn given<T: DeserializeOwned>(args: JsValue) -> Result<T, Failure> {
    let read = serde_path_to_error::deserialize(serde_wasm_bindgen::Deserializer::from(args));
    // JavaScript's errors say that they are.
    read.map_err(|error| Failure::new(format!("arguments: {error}").replace("Error: ", "")))
}

/// A result, as an object.
pub fn told<T: Serialize>(value: &T) -> Answer {
    let told = value.serialize(&ToJs::json_compatible());
    told.map_err(|error| Failure::new(format!("the result cannot be told: {error}")))
}

/// A number of any kind, since the page's own messages may be kept as JSON.
#[derive(Clone, Copy)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_nan() => to.serialize_str("nan"),
            f64::INFINITY => to.serialize_str("inf"),
            f64::NEG_INFINITY => to.serialize_str("-inf"),
            value => to.serialize_f64(value),
        }
    }
}

/// Who is told how far a call is.
pub struct Progress(pub Option<Function>);

impl Progress {
    pub fn tell<T: Serialize>(&self, value: &T) {
        if let (Some(listener), Ok(value)) = (&self.0, told(value)) {
            let _ = listener.call1(&JsValue::UNDEFINED, &value);
        }
    }
}
