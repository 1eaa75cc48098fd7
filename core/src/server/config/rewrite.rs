//! Writing a configuration back into its file.
