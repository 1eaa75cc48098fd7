//! The server: clients, configuration, the dispatch of commands, and the commands that administer
//! these things.
