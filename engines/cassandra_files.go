package engines

import "strings"

// cassandraYAML takes a token, two addresses, the ports of storage, storage
// with TLS and clients, the seeds, and the folder (the last one, several times).
const cassandraYAML = `
cluster_name: tocsin
num_tokens: 1
initial_token: "%[1]s"
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
auto_bootstrap: false
listen_address: %[2]s
rpc_address: %[3]s
storage_port: %[4]d
ssl_storage_port: %[5]d
native_transport_port: %[6]d
start_native_transport: true
seed_provider: [ { class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [ { seeds: "%[7]s" } ] } ]
data_file_directories: [ "%[8]s/data" ]
commitlog_directory: "%[8]s/commitlog"
saved_caches_directory: "%[8]s/saved_caches"
hints_directory: "%[8]s/hints"
commitlog_sync: batch
cdc_enabled: false
disk_optimization_strategy: ssd
commitlog_segment_size: 16MiB
commitlog_total_space: 256MiB
memtable_heap_space: 96MiB
memtable_offheap_space: 96MiB
memtable_allocation_type: offheap_objects
file_cache_size: 32MiB
key_cache_size: 8MiB
row_cache_size: 0MiB
counter_cache_size: 0MiB
concurrent_reads: 16
concurrent_writes: 16
concurrent_counter_writes: 2
concurrent_compactors: 1
compaction_throughput: 32MiB/s
snapshot_before_compaction: false
auto_snapshot: false
hinted_handoff_enabled: true
trickle_fsync: false
read_request_timeout: 10s
write_request_timeout: 10s
range_request_timeout: 20s
request_timeout: 20s
cas_contention_timeout: 5s
truncate_request_timeout: 60s
`

const cassandraLogging = `<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%-5level %date{HH:mm:ss.SSS} %logger{0} %msg%n</pattern></encoder></appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
`

// javaOptions are upstream's for a Java 17, and none of its waits at the start,
// which matter to clusters that people run.
func javaOptions() string {
	lines := strings.Fields(`-Xss256k -XX:+UseG1GC -XX:+ParallelRefProcEnabled -XX:MaxGCPauseMillis=300 -XX:+ExitOnOutOfMemoryError
-XX:+PerfDisableSharedMem -Djava.net.preferIPv4Stack=true -Djava.awt.headless=true -Dsun.nio.PageAlignDirectMemory=true
-Djdk.attach.allowAttachSelf=true -Dio.netty.tryReflectionSetAccessible=true -Dio.netty.allocator.useCacheForAllThreads=true
-Dio.netty.allocator.maxOrder=11 -Dcassandra.ring_delay_ms=0 -Dcassandra.skip_wait_for_gossip_to_settle=0
-Dcassandra.superuser_setup_delay_ms=0`)
	for _, name := range strings.Fields(`java.base/jdk.internal.misc java.base/java.lang.ref java.sql/java.sql
java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry java.rmi/sun.rmi.server jdk.unsupported/sun.misc
jdk.compiler/com.sun.tools.javac.file jdk.attach/sun.tools.attach`) {
		lines = append(lines, "--add-exports "+name+"=ALL-UNNAMED")
	}
	for _, name := range strings.Fields(`java.base/java.lang.module java.base/jdk.internal.loader java.base/jdk.internal.ref
java.base/jdk.internal.reflect java.base/jdk.internal.math java.base/jdk.internal.module java.base/jdk.internal.util.jar java.base/sun.nio.ch
java.base/java.io java.base/java.lang.reflect java.base/java.lang java.base/java.util java.base/java.nio
jdk.management/com.sun.management.internal jdk.compiler/com.sun.tools.javac.file`) {
		lines = append(lines, "--add-opens "+name+"=ALL-UNNAMED")
	}
	return strings.Join(lines, "\n") + "\n"
}
