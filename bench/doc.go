// Command bench compares Tocsin with its limits and its peers, interleaved in
// one run on one machine: pushes per second, CPU-seconds per million on both
// sides, medians and spread.
//
//	go run ./bench all
//	go run ./bench send [--repeats N] [--scale SHARE] [--json FILE] [--docs FILE]
//
// all makes every measurement and writes tables and pictures into
// docs/performance.md between its markers; go run ./bench lists them. Bounds are
// judged over all rounds; the exit status is 1 when one is missed, or when the
// machine was too slow to judge.
//
// A measurement (send.go is one) fills a Section with what it found; a lab
// holds what runs beside it: a raw TLS server, and towns of a node and a
// simulator. Servers run as children: this program again, in another part; the
// databases that audience asks beside Tocsin are started by
// scripts/bench-audience, which hands in a folder of programs. It
// starts every process that it measures, on free ports of loopback, and stops
// it by its pid. Reads and writes nothing but its output, the document and a
// temporary folder. Like cmd/tocsin it may import every room; nothing imports it.
package main
