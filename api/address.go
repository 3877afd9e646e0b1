package api

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// addresses bounds how often one network address calls the device API, whose
// key is public. Private and loopback addresses are not bounded: a proxy or a
// network of the operator's own stands there, and all clients behind it would
// share one bound. Of IPv6 a network of /64 is one address.
type addresses struct {
	perSecond, burst float64
	most             int // that are remembered; beyond it the one that called longest ago is forgotten

	mu     sync.Mutex
	known  map[netip.Addr]*list.Element
	recent list.List // of *visits, that which called last first
}

// visits is what an address may do.
type visits struct {
	address netip.Addr
	left    float64 // calls, at an instant
	at      time.Time
}

func newAddresses(perSecond, burst, most int) *addresses {
	return &addresses{perSecond: float64(perSecond), burst: float64(burst), most: most, known: map[netip.Addr]*list.Element{}}
}

// call counts a call from a host and port. It returns how long to wait instead,
// or 0.
func (a *addresses) call(now time.Time, from string) time.Duration {
	at, err := netip.ParseAddrPort(from)
	if err != nil {
		return 0 // not of a network
	}
	address := at.Addr().Unmap().WithZone("")
	if address.IsPrivate() || address.IsLoopback() {
		return 0
	}
	if address.Is6() {
		network, _ := address.Prefix(64) // 64 is within its bits
		address = network.Addr()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	element := a.known[address]
	if element == nil {
		if a.recent.Len() >= a.most {
			oldest := a.recent.Back()
			delete(a.known, oldest.Value.(*visits).address)
			a.recent.Remove(oldest)
		}
		element = a.recent.PushFront(&visits{address, a.burst, now})
		a.known[address] = element
	}
	a.recent.MoveToFront(element)
	v := element.Value.(*visits)
	v.left = min(a.burst, v.left+max(0, now.Sub(v.at).Seconds())*a.perSecond)
	v.at = now
	if v.left < 1 {
		return time.Duration((1 - v.left) / a.perSecond * 1e9)
	}
	v.left--
	return 0
}
