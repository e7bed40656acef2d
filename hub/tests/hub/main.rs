//! The hub as a whole, against a naive model and in scenes.
//!
//! - [`alphabet`], [`cast`], [`positions`]: what can happen in a property test; a new kind of input or request
//!   starts here.
//! - [`model`]: what the hub is to do, as simply as it can be said.
//! - [`driver`]: plays a script of the alphabet on the shipped hub, with either kind of engine.
//! - [`seen`]: what comes out, in a form that the two can be compared by.
//! - [`properties`], [`keeping`], [`continuity`]: what holds whatever happens.
//! - [`pieces`], [`bounds`]: that nobody can tell what is done in pieces from what is done at once, and that no piece is
//!   large.
//! - [`lists`]: that receivers are listed anew whenever they are others.
//! - [`shares`], [`shares_model`]: how all histories share their bytes.
//! - [`stage`], [`frames`]: where sessions speak and hear frames, and frames about positions.
//! - [`scenes`], [`resume_scenes`], [`history_scenes`], [`key_scenes`], [`presence_scenes`]: what happens in particular,
//!   as transcripts of frames. A failing script of a property is shrunk and committed here under a name that says what went wrong.

mod alphabet;
mod bounds;
mod cast;
mod continuity;
mod driver;
mod frames;
mod history_scenes;
mod keeping;
mod key_scenes;
mod lists;
mod model;
mod pieces;
mod positions;
mod presence_scenes;
mod properties;
mod resume_scenes;
mod scenes;
mod seen;
mod shares;
mod shares_model;
mod stage;
