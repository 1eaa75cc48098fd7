//! A world in which machines run: hosts, processes, links, disks, clocks, faults, and history.
