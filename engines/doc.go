// Package engines runs real Kafka brokers and real Cassandra nodes on this
// machine, for tests behind the build tag engines and for make cluster: it
// fetches their jars with Maven, starts them, waits until they serve, and
// pauses, kills and restarts them.
//
// It needs mvn and a Java 17 (Debian: maven and openjdk-17-jdk-headless). Writes
// the folder that it is given and opens sockets of 127.0.0.1; a server dies with
// the process that started it. The product never imports it.
package engines
