package sim

import "sync"

// maxNames bounds how many send tags keep their text.
const maxNames = 100_000

// names remembers the text of send tags, of which the ledger keeps the hash.
type names struct {
	mu    sync.Mutex
	texts map[uint64]string
}

func (n *names) add(h uint64, text []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.texts == nil {
		n.texts = make(map[uint64]string)
	}
	if len(n.texts) < maxNames && len(text) > 0 {
		n.texts[h] = string(text)
	}
}

// all returns the tags seen so far, in no order.
func (n *names) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	tags := make([]string, 0, len(n.texts))
	for _, text := range n.texts {
		tags = append(tags, text)
	}
	return tags
}

func (n *names) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts = nil
}
