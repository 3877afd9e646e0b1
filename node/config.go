package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/api"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/provider/apns"
	"github.com/tocsin-push/tocsin/provider/fcm"
	"github.com/tocsin-push/tocsin/provider/webpush"
	"github.com/tocsin-push/tocsin/receipt"
)

// Config is all a node needs. Each room's part is that room's own.
type Config struct {
	Dir    string // data folder, made at the first start
	Listen string // host:port of the API
	Shards int    // fixed at the first start of a data folder
	Roles  []Role // that this process takes

	Cluster *Cluster // nil: everything is in Dir
	Peers   Peers    // other processes of the same installation

	Reserve uint64        // free disk space in bytes below which new sends are refused with 507
	Stop    time.Duration // how long requests and pushes under way may take to end
	Trim    time.Duration // pause between two trims of the logs

	API      api.Config
	Audience audience.Config
	Fanout   fanout.Config
	Lanes    fanout.LanesConfig
	Plan     plan.Config // its shards are those of the node
	Receipt  receipt.Config
	APNs     apns.Config
	FCM      fcm.Config
	WebPush  webpush.Config
}

// Default is a node for one machine.
func Default() Config {
	return Config{
		Dir: "tocsin-data", Listen: "127.0.0.1:8080", Shards: 4, Roles: Roles[:],
		Reserve: 512 << 20, Stop: 10 * time.Second, Trim: time.Minute,
		API: api.Default(), Audience: audience.Default(), Fanout: fanout.Default(), Lanes: fanout.DefaultLanes(),
		Plan: plan.Default(4), Receipt: receipt.Default(),
		APNs: apns.Default(), FCM: fcm.Default(), WebPush: webpush.Default(),
	}
}

// Validate says what is wrong with the settings.
func (c Config) Validate() error {
	switch {
	case c.Listen == "" || c.Cluster == nil && c.Dir == "":
		return errors.New("node: a data folder and an address to listen on are needed")
	case c.Cluster != nil && c.Shards != 0:
		return errors.New("node: how many shards a cluster has was told to cluster init, and to no process")
	case c.Cluster != nil && c.Cluster.Key == "":
		return errors.New("node: the file of the key that cluster init made is needed")
	case c.Cluster != nil && c.Peers == (Peers{}):
		return errors.New("node: on a cluster processes ask each other: an address, a certificate, its key and the authority are needed")
	case c.Cluster == nil && (c.Shards < 1 || c.Shards > tocsin.MaxShards):
		return fmt.Errorf("node: shards is %d: want 1 to %d", c.Shards, tocsin.MaxShards)
	case len(c.Roles) == 0 || slices.ContainsFunc(c.Roles, func(r Role) bool { return !slices.Contains(Roles[:], r) }):
		return fmt.Errorf("node: roles are %q: want some of %q", c.Roles, Roles)
	case c.Stop <= 0 || c.Trim <= 0:
		return errors.New("node: stop and trim must be above 0")
	}
	return errors.Join(c.Peers.Validate(), c.API.Validate(), c.Audience.Validate(), c.Fanout.Validate(), c.Lanes.Validate(), c.planning().Validate(), c.Receipt.Validate(),
		c.APNs.Validate(), c.FCM.Validate(), c.WebPush.Validate())
}

// planning are the settings of plan.
func (c Config) planning() plan.Config {
	c.Plan.Shards = max(c.Shards, 1) // a cluster tells later
	return c.Plan
}
