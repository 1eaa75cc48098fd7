//! The page attached to a deployment of real servers, as `limpid playground --attach` serves it:
//! the same marks on the same map, drawn from what the nodes report instead of from a World.
//!
//! It only reads: these are real servers, so there is no time to rewind and no link to cut.

mod app;
mod changes;
mod map;
mod panel;
mod scene;

/// Shows the deployment in place of a World.
pub(crate) fn show() {
    let Some(root) = gloo::utils::document().get_element_by_id("app") else { return };
    root.set_inner_html("");
    yew::Renderer::<app::App>::with_root(root).render();
}
