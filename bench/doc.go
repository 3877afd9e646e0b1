// Command bench compares Tocsin with its limits and its peers, interleaved in
// one run on one machine: pushes per second, CPU-seconds per million on both
// sides, medians and spread.
//
// It starts every process that it measures and stops it by its pid. Reads and
// writes nothing but its output and a temporary folder.
package main
