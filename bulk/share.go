package bulk

// Connections share what there is to write: one that has used up its streams in
// the middle of a batch gives the rest of it to one that has some and waits.
// Whoever lacks streams says so before it looks who waits, and whoever waits is
// among those before it looks who lacks some: one of the two sees the other.

// worthwhile reports whether so many free streams are worth a part of a batch:
// each part costs a write and a system call.
func worthwhile(room, allowed int) bool { return room > 0 && room >= allowed/8 }

// lack notes whether the connection holds pushes for which it has no streams.
func (c *conn) lack(is bool) {
	if c.lacks.Load() == is {
		return
	}
	c.lacks.Store(is)
	if is {
		c.pool.lacking.Add(1)
	} else {
		c.pool.lacking.Add(-1)
	}
}

// yield gives the rest of the job to a connection that has streams for it, and
// reports whether there was one. The lock is held, but not meanwhile.
func (c *conn) yield() bool {
	c.lack(true)
	if !c.pool.spare() {
		return false
	}
	c.lack(false)
	j := c.job
	c.job = nil
	c.release(j)
	c.unlockAndTell()
	c.mu.Lock()
	return true
}

// spare reports whether a connection that waits for a batch has streams.
func (p *Pool) spare() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		if worthwhile(int(c.room.Load()), int(c.open.Load())) {
			return true
		}
	}
	return false
}

// relieve has a connection that lacks streams look who waits.
func (p *Pool) relieve() {
	if c := p.lackingOne(); c != nil {
		c.mu.Lock()
		c.wake.Signal()
		c.mu.Unlock()
	}
}

func (p *Pool) lackingOne() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if c.lacks.Load() {
			return c
		}
	}
	return nil
}
