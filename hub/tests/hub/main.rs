//! The hub as a whole, against a naive model and in scenes.
//!
//! - [`alphabet`]: what can happen in a property test; a new kind of input or request starts here.
//! - [`model`]: what the hub is to do, as simply as it can be said.
//! - [`driver`]: plays a script of the alphabet on the shipped hub, with either kind of engine.
//! - [`seen`]: what comes out, in a form that the two can be compared by.
//! - [`properties`]: what holds whatever happens.
//! - [`stage`] and [`scenes`]: what happens in particular, as transcripts of frames. A failing script of a property
//!   is shrunk and committed here under a name that says what went wrong.

mod alphabet;
mod driver;
mod model;
mod properties;
mod scenes;
mod seen;
mod stage;
