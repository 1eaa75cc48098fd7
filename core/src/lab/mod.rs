//! What to put into a world: topologies, traffic, and (later) shells and lessons.
