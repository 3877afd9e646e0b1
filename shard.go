package tocsin

// Shard is one of a fixed number of hash ranges of profiles. A number above
// MaxShards is refused when a node is set up.
type Shard uint16

// MaxShards bounds the number of shards of an installation.
const MaxShards = 1024

// PageSize is the greatest number of recipients of one page, and so of one range.
const PageSize = 1024

// ShardOf places a profile of a project on one of count shards. The hash is
// FNV-1a 64 over the project's bytes and the profile key, finished by the
// mixer of SplitMix64, and may never change: audiences are stored by it.
func ShardOf(project ProjectID, profile string, count int) Shard {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, b := range project {
		h = (h ^ uint64(b)) * prime
	}
	for i := range len(profile) {
		h = (h ^ uint64(profile[i])) * prime
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	h ^= h >> 31
	// The range of a shard is contiguous in the hash: the high bits decide.
	return Shard((h >> 32) * uint64(count) >> 32)
}
