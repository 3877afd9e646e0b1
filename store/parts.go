package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// partSize leaves room for several parts in one batch.
const partSize = 512 << 10

// Parts is where a value that may exceed MaxValue stands: rows that no other
// version or value shares, and a head that names them. So two writers that do
// not know of each other never mix their values. The zero Parts is nowhere.
type Parts struct {
	Version uint64
	Sum     uint32 // CRC-32C of the value
	Count   int
}

func (p Parts) key(name string, i int) string {
	return fmt.Sprintf("%s/%020d-%08x/%04d", name, p.Version, p.Sum, i)
}

// PutParts returns the writes that store value under name, to be made in order:
// whoever stops anywhere leaves the old value or the new one. After them the
// parts of old are deleted. Version must be above 0; the highest one wins.
func PutParts(name string, version uint64, value []byte, old Parts) ([]Write, Parts) {
	var writes []Write
	now := Parts{Version: version, Sum: crc32.Checksum(value, crc32.MakeTable(crc32.Castagnoli))}
	for len(value) > 0 {
		n := min(partSize, len(value))
		writes = append(writes, Write{Key: now.key(name, now.Count), Value: value[:n:n], Version: version})
		value = value[n:]
		now.Count++
	}
	head := binary.AppendUvarint(nil, version)
	head = binary.AppendUvarint(head, uint64(now.Count))
	head = binary.BigEndian.AppendUint32(head, now.Sum)
	writes = append(writes, Write{Key: name, Value: head, Version: version})
	if old.Version != version || old.Sum != now.Sum {
		for i := range old.Count {
			writes = append(writes, Write{Key: old.key(name, i), Version: version, Delete: true})
		}
	}
	return writes, now
}

// JoinParts reads the value stored under name out of the rows of its place; a
// zero Parts says that there is none.
func JoinParts(name string, rows []Row) (value []byte, at Parts, err error) {
	byKey := make(map[string][]byte, len(rows))
	for _, r := range rows {
		byKey[r.Key] = r.Value
	}
	head, ok := byKey[name]
	if !ok {
		return nil, Parts{}, nil
	}
	version, n := binary.Uvarint(head)
	count, k := binary.Uvarint(head[max(n, 0):])
	if n <= 0 || k <= 0 || len(head) != n+k+4 {
		return nil, Parts{}, fmt.Errorf("store: head of %q is damaged", name)
	}
	at = Parts{Version: version, Sum: binary.BigEndian.Uint32(head[n+k:]), Count: int(count)}
	for i := range at.Count {
		part, ok := byKey[at.key(name, i)]
		if !ok {
			return nil, Parts{}, fmt.Errorf("store: part %d of %q is missing", i, name)
		}
		value = append(value, part...)
	}
	if crc32.Checksum(value, crc32.MakeTable(crc32.Castagnoli)) != at.Sum {
		return nil, Parts{}, fmt.Errorf("store: %q is damaged", name)
	}
	return value, at, nil
}
