// Package storetest decides what a store is: an engine exists when it passes
// Run. It reads and writes through the contract alone, and may be imported by
// test files only.
package storetest
