package audience

import (
	"fmt"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// checkChange looks a change through before anything of its record is applied.
func checkChange(i int, change *record.Change) error {
	id := []byte(nil)
	switch c := change.GetChange().(type) {
	case *record.Change_Upsert:
		if err := checkUpsert(i, c.Upsert); err != nil {
			return err
		}
		id = c.Upsert.Subscription
	case *record.Change_OptIn:
		id = c.OptIn.Subscription
	case *record.Change_Delete:
		id = c.Delete.Subscription
	case *record.Change_Gone:
		id = c.Gone.Subscription
	case *record.Change_Profile:
		return nil
	case *record.Change_Erase:
		if c.Erase.Profile == "" {
			return fmt.Errorf("%w: change %d erases nobody", ErrChange, i)
		}
		return nil
	case *record.Change_Event:
		if id = c.Event.Subscription; len(id) == 0 && c.Event.Name != "" {
			return nil
		} else if c.Event.Name == "" {
			return fmt.Errorf("%w: change %d is an event without a name", ErrChange, i)
		}
	case *record.Change_Names:
		if c.Names.Edition == 0 || c.Names.From == "" {
			return fmt.Errorf("%w: change %d of names has no edition, or no name", ErrChange, i)
		}
		return nil
	case *record.Change_List:
		if !listFits(c.List) {
			return fmt.Errorf("%w: change %d is no change to a list", ErrChange, i)
		}
		return nil
	case *record.Change_Move:
		if c.Move.Profile == "" || c.Move.Shard >= tocsin.MaxShards {
			return fmt.Errorf("%w: change %d moves to nobody", ErrChange, i)
		}
		id = c.Move.Subscription
	case *record.Change_Superseded:
		if !hasProvider(c.Superseded.Provider) || c.Superseded.Shard >= tocsin.MaxShards {
			return fmt.Errorf("%w: change %d tells of an address of provider %d", ErrChange, i, c.Superseded.Provider)
		}
		id = c.Superseded.Subscription
	case *record.Change_Leave:
		if c.Leave.To >= tocsin.MaxShards {
			return fmt.Errorf("%w: change %d leaves for shard %d", ErrChange, i, c.Leave.To)
		}
		return nil
	case *record.Change_Arrive:
		return checkArrive(i, c.Arrive)
	default:
		return fmt.Errorf("%w: change %d is of a kind this build does not know", ErrChange, i)
	}
	if len(id) != len(tocsin.SubscriptionID{}) {
		return fmt.Errorf("%w: change %d names no subscription", ErrChange, i)
	}
	return nil
}

func checkUpsert(i int, u *record.Upsert) error {
	switch {
	case len(u.Address) > 0 && !hasProvider(u.Provider):
		return fmt.Errorf("%w: change %d has an address of provider %d", ErrChange, i, u.Provider)
	case len(u.Secret) > 255:
		return fmt.Errorf("%w: change %d has a secret of %d bytes", ErrChange, i, len(u.Secret))
	}
	return nil
}

func hasProvider(p uint32) bool { return p >= uint32(tocsin.APNs) && p <= uint32(tocsin.WebPush) }

func checkArrive(i int, a *record.Arrive) error {
	switch u := a.GetState().GetUpsert(); {
	case a.From >= tocsin.MaxShards || a.Number == 0:
		return fmt.Errorf("%w: change %d arrives from nowhere", ErrChange, i)
	case a.State != nil && (len(u.GetAddress()) == 0 || u.Profile == "" || len(u.Subscription) != len(tocsin.SubscriptionID{})):
		return fmt.Errorf("%w: change %d brings a subscription without a name, an address or a profile", ErrChange, i)
	case a.State != nil:
		return checkUpsert(i, u)
	case a.Change != nil && subject(a.Change) == nil:
		return fmt.Errorf("%w: change %d brings a change to no subscription", ErrChange, i)
	case a.Change != nil:
		return checkChange(i, a.Change)
	case len(a.Forget) != len(tocsin.SubscriptionID{}):
		return fmt.Errorf("%w: change %d brings nothing", ErrChange, i)
	}
	return nil
}
