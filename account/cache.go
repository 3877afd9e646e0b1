package account

import (
	"sync"
	"time"
)

// cache remembers rows for as long as Fresh allows, counted from before they
// were read.
type cache[K comparable, V any] struct {
	mu   sync.Mutex
	rows map[K]remembered[V]
}

type remembered[V any] struct {
	value V
	read  time.Time
}

// maxRemembered bounds a cache. When it is full all is forgotten, which costs
// each row one read.
const maxRemembered = 20_000

func (c *cache[K, V]) get(key K, now time.Time) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.rows[key]
	if !ok || now.Sub(r.read) >= Fresh {
		return value, false
	}
	return r.value, true
}

func (c *cache[K, V]) put(key K, value V, read time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows == nil || len(c.rows) >= maxRemembered {
		c.rows = make(map[K]remembered[V])
	}
	c.rows[key] = remembered[V]{value, read}
}

func (c *cache[K, V]) forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.rows, key)
}
