package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// Whatever x/net's encoder writes is read as it was meant: indexed, literal,
// Huffman coded, evicted, with tables that shrink and grow.
func TestHPACKAgainstEncoder(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for round := range 200 {
		var block bytes.Buffer
		encoder, d := hpack.NewEncoder(&block), newDecoder()
		encoder.SetMaxDynamicTableSizeLimit(headerTableSize)
		for range 100 {
			block.Reset()
			if r.IntN(20) == 0 {
				encoder.SetMaxDynamicTableSize(r.Uint32N(headerTableSize + 1))
			}
			want := make(map[field]string)
			for _, name := range []string{":method", ":path", "authorization", "apns-topic", "apns-id", "ttl", "x-other"} {
				value := fmt.Sprint(name, r.IntN(3), strings.Repeat("v\xff~", r.IntN(60)))
				if r.IntN(100) == 0 {
					value = strings.Repeat("long", 2000)
				}
				if err := encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: r.IntN(4) == 0}); err != nil {
					t.Fatal(err)
				}
				want[fieldOf([]byte(name))] = value
			}
			var got request
			got.reset(1)
			if err := d.decode(block.Bytes(), &got); err != nil {
				t.Fatalf("seed %d round %d: %v", seed, round, err)
			}
			if d.size > headerTableSize {
				t.Fatalf("seed %d: table holds %d bytes", seed, d.size)
			}
			for f, value := range want {
				if f != fieldOther && string(got.get(f)) != value {
					t.Fatalf("seed %d round %d: field %d is %q, want %q", seed, round, f, got.get(f), value)
				}
			}
		}
	}
}

// Damaged blocks are refused or read as something, and nothing breaks.
func TestHPACKDamaged(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	for range 20_000 {
		block := make([]byte, r.IntN(40))
		for i := range block {
			block[i] = byte(r.Uint32())
		}
		var got request
		d := newDecoder()
		for range 2 {
			got.reset(1)
			if d.decode(block, &got) != nil {
				break
			}
		}
	}
	for name, block := range map[string]string{"index 0": "\x80", "index beyond": "\xbf\x80\x01", "size update too big": "\x3f\xe2\x1f",
		"size update late": "\x82\x20", "text cut": "\x00\x05ab", "integer too long": "\xff\xff\xff\xff\xff\xff\x01", "no value": "\x44"} {
		var got request
		got.reset(1)
		if err := newDecoder().decode([]byte(block), &got); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
