package index

import (
	"math"
	"strconv"

	"github.com/tocsin-push/tocsin/target"
)

const (
	// degree is how finely places are kept: 1.1 cm on the ground.
	degree = 10_000_000
	// earth is the mean radius of the Earth in kilometres (IUGG).
	earth = 6371.0088
)

// LocationValue makes a value of a place, in degrees north and east.
func LocationValue(latitude, longitude float64) Value {
	lat, lon := int32(math.Round(latitude*degree)), int32(math.Round(longitude*degree))
	return Value{Kind: Location, Bits: int64(lat)<<32 | int64(uint32(lon))}
}

// Place is the degrees of a Location.
func (v Value) Place() (latitude, longitude float64) {
	return float64(int32(v.Bits>>32)) / degree, float64(int32(v.Bits)) / degree
}

func placeText(v Value) string {
	lat, lon := v.Place()
	return strconv.FormatFloat(lat, 'f', -1, 64) + "," + strconv.FormatFloat(lon, 'f', -1, 64)
}

// circle is the places within a distance of a point, on a sphere.
type circle struct {
	lat, lon, cos float64 // radians
	span          span    // keys of the latitudes that it touches
	east, reach   int64   // longitude, and how far the circle goes beside it; in steps of degree
	most          float64 // of the haversine
}

func circleOf(n *target.Node) circle {
	lat, lon, km := n.Values[0].Number(), n.Values[1].Number(), n.Values[2].Number()
	half := math.Sin(min(km/earth, math.Pi) / 2)
	c := circle{lat: lat * math.Pi / 180, lon: lon * math.Pi / 180, most: half * half}
	c.cos = math.Cos(c.lat)
	reach := km/earth*180/math.Pi + 2e-7 // more than rounding takes away
	c.east, c.reach = int64(math.Round(lon*degree)), 180*degree
	if narrow := math.Sin(min(km/earth, math.Pi/2)) / c.cos; km/earth < math.Pi/2 && narrow < 1 && math.Abs(lat)+reach < 90 { // no pole in it
		c.reach = int64(math.Asin(narrow)*180/math.Pi*degree) + 4
	}
	c.span.low = int64(math.Floor(max(lat-reach, -90)*degree)) << 32
	c.span.high = int64(math.Ceil(min(lat+reach, 90)*degree))<<32 | math.MaxUint32
	return c
}

// holds reports whether a place lies inside or on the border.
func (c *circle) holds(key int64) bool {
	beside := int64(int32(key)) - c.east
	if beside = max(beside, -beside); !c.span.holds(key) || min(beside, 360*degree-beside) > c.reach {
		return false
	}
	lat, lon := Value{Kind: Location, Bits: key}.Place()
	lat, lon = lat*math.Pi/180, lon*math.Pi/180
	up, along := math.Sin((lat-c.lat)/2), math.Sin((lon-c.lon)/2)
	return up*up+c.cos*math.Cos(lat)*along*along <= c.most
}
