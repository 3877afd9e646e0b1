// Package journaltest decides what a journal is: an engine exists when it
// passes Run. It reads and writes through the contract alone, and may be
// imported by test files only.
package journaltest
