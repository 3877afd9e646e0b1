// Package snapshottest decides what an engine of snapshots is: Run checks every
// rule of snapshot.Engine, and that two snapshots kept in it are what package
// snapshot says.
//
// It is for tests only.
package snapshottest
