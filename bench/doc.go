// Command bench compares Tocsin with its limits and its peers, interleaved in
// one run on one machine: pushes per second, CPU-seconds per million on both
// sides, medians and spread.
//
//	go run ./bench send [--recipients N] [--repeats N] [--json FILE]
//
// Each round of send runs the peer (sideshow/apns2), the ceiling (raw TLS) and
// the whole road (node, stored audience, simulated APNs), and the floors are
// judged over all rounds; the exit status is 1 when one is missed.
//
// Servers run as children: this program again, in another part. It starts
// every process that it measures, on free ports of loopback, and stops it by
// its pid. Reads and writes nothing but its output and a temporary folder. Like
// cmd/tocsin it may import every room; nothing imports it.
package main
