//! The map: bodies and links as SVG, which can be clicked and focused, and the stage around them.
//!
//! Messages in flight are painted by [`crate::flight`] on a canvas on top of it.

pub(crate) mod acts;
pub(crate) mod body;
pub(crate) mod card;
pub(crate) mod chart;
pub(crate) mod circle;
pub(crate) mod focus;
pub(crate) mod follow;
pub(crate) mod gesture;
pub(crate) mod link;
pub(crate) mod menu;
#[cfg(feature = "whole")]
pub(crate) mod picture;
pub(crate) mod sheet;
pub(crate) mod stage;
