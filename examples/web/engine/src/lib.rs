//! What the page's worker calls: one function, by a method's name, with a plain object and to a plain object.

// wasm-bindgen calls deprecated what it may change.
#![allow(deprecated)]

mod advice;
mod catalogue;
mod device;
mod draw;
mod exact;
mod probe;
mod settings;
mod train;
mod verify;
mod wire;

use std::cell::RefCell;

use device::Devices;
use js_sys::{Function, Object};
use train::Training;
use wasm_bindgen::prelude::*;
use wire::{Answer, Failure, Progress, given, told};

/// What outlasts a call.
#[derive(Default)]
struct State {
    devices: Devices,
    training: Option<Training>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = postMessage)]
    fn post(message: &JsValue);
}

/// A panic ends the module for good: what it said goes to whoever started the worker.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        let message = Object::new();
        let _ = js_sys::Reflect::set(&message, &"panicked".into(), &panic.to_string().into());
        post(&message);
    }));
}

/// Does what a method's name says, with the arguments that it takes; hands progress on where a function for it
/// is given. By Promise Integration it is put aside whenever it waits, so that it comes to a promise.
///
/// # Errors
/// An `Error`, whose `code` says what kind of failure it is, where the page can do something about it.
#[wasm_bindgen(jspi)]
pub fn call(method: &str, args: JsValue, progress: Option<Function>) -> Result<JsValue, JsValue> {
    STATE.with(|state| {
        // The worker makes one call after the other.
        let Ok(mut state) = state.try_borrow_mut() else {
            return Err(Failure::new("a call is under way: one at a time").into());
        };
        let failure = match state.answer(method, args, &Progress(progress)) {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let lost = state.devices.lost();
        if lost.is_some() {
            // What was on the device is gone with it.
            state.training = None;
        }
        Err(lost.unwrap_or(failure).into())
    })
}

impl State {
    fn answer(&mut self, method: &str, args: JsValue, progress: &Progress) -> Answer {
        let State { devices, training } = self;
        match method {
            "about" => told(&catalogue::about()),
            "catalogue" => told(&catalogue::catalogue()),
            "gpu" => told(&devices.gpu()),
            "probe" => told(&probe::probe(devices, given(args)?)?),
            "train.start" => {
                // Two at once would want the memory of both.
                *training = None;
                let (own, started) = Training::start(devices, given(args)?)?;
                *training = Some(own);
                told(&started)
            }
            "train.advance" => told(&going(training)?.advance(&given(args)?)?),
            "train.boundary" => told(&going(training)?.boundary(&given(args)?)?),
            "train.predict" => told(&going(training)?.predict(&given(args)?)?),
            "train.verdict" => told(&going(training)?.verdict(&given(args)?)?),
            "train.end" => {
                *training = None;
                Ok(Object::new().into())
            }
            "draw" => told(&draw::draw(devices, &given(args)?, progress)?),
            "exact" => told(&exact::exact(devices, &given(args)?)?),
            "exact.runs" => told(&exact::runs()),
            "exact.train" => told(&exact::train(devices, &given(args)?, progress)?),
            "verify" => told(&verify::verify(devices, &given(args)?, progress)?),
            _ => Err(Failure::new(format!("no method `{method}`"))),
        }
    }
}

fn going(training: &mut Option<Training>) -> Result<&mut Training, Failure> {
    training.as_mut().ok_or_else(|| Failure::new("no network is trained: train.start comes first"))
}
