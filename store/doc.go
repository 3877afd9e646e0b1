// Package store is the contract of keyed tables. It holds no engine.
//
// Reads nothing, writes nothing. Imports nothing of the platform; must never
// import an engine or the owner of a table. Engines live in store/mem and
// store/disk and store/cassandra; storetest decides what an engine is. One table has one owner, who
// names it.
package store
