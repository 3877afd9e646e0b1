// Package store is the contract of keyed tables. It holds no engine.
//
// Reads nothing, writes nothing. Engines live in store/mem and store/disk;
// storetest decides what an engine is. One table has one owner, who names it. Imports
// nothing of the platform, and must never import an engine or an owner.
package store
