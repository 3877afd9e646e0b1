package api

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/index"
)

func (s *Server) exportProfile(ctx context.Context, in *struct {
	User string `path:"user" minLength:"1" maxLength:"256"`
}) (*body[client.Person], error) {
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	project, key := caller(ctx).Project, audience.UserKey(in.User)
	shard := s.Ask[tocsin.ShardOf(project, key, s.Shards)]
	person, err := shard.Person(ctx, project, key)
	if err != nil {
		return nil, err
	}
	if person == nil {
		return nil, notFound("user")
	}
	out := client.Person{User: in.User, Attributes: valuesOf(person.Attributes), Tags: person.Tags, Lists: person.Lists, Subscriptions: []client.PersonalDevice{}}
	for _, set := range out.Tags {
		slices.Sort(set)
	}
	for _, deed := range person.Events {
		out.Events = append(out.Events, personalEvent(deed))
	}
	devices, err := shard.Profile(ctx, project, key)
	for _, one := range devices {
		out.Subscriptions = append(out.Subscriptions, personalDevice(one))
	}
	slices.SortFunc(out.Subscriptions, func(a, b client.PersonalDevice) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return &body[client.Person]{out}, err
}

// personalDevice shows an address as it was given.
func personalDevice(one ask.Subscription) client.PersonalDevice {
	out := client.PersonalDevice{Known: known(one), CreatedAt: one.Created}
	switch one.Route.Provider {
	case tocsin.APNs:
		out.Token = hex.EncodeToString(one.Address)
	case tocsin.FCM:
		out.Token = string(one.Address)
	case tocsin.WebPush: // as intake stores it
		const length, key = 2, 65
		endpoint := one.Address[length:][:binary.BigEndian.Uint16(one.Address)]
		keys := one.Address[length+len(endpoint):]
		encode := base64.RawURLEncoding.EncodeToString
		out.Endpoint, out.P256DH, out.Auth = string(endpoint), encode(keys[:key]), encode(keys[key:])
	}
	return out
}

// personalEvent shows what somebody did under one name.
func personalEvent(deed index.Deed) client.PersonalEvent {
	out := client.PersonalEvent{Name: deed.Name, Count: int(deed.Count), FirstAt: time.Unix(int64(deed.First), 0).UTC(), LastAt: time.Unix(int64(deed.Last), 0).UTC()}
	for _, d := range deed.Days {
		day := client.PersonalDay{Day: time.Unix(int64(d.Day)*24*3600, 0).UTC().Format(time.DateOnly), Times: int(d.Times)}
		for _, one := range deed.Times {
			if one.Day != d.Day {
				continue
			}
			fields := make(map[string]client.Value, len(one.Fields))
			for _, f := range one.Fields {
				fields[f.Name] = valueOf(f.Value)
			}
			day.Fields = append(day.Fields, fields)
		}
		out.Days = append(out.Days, day)
	}
	return out
}
