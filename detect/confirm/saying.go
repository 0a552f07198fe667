package confirm

import (
	"time"
	"unique"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// saying is an observation as it is kept: what many have alike is in memory once.
type saying struct {
	from, to unique.Handle[v1alpha1.Endpoint]
	source   unique.Handle[string]
	// what is the observation without its ends, the source that was seen, and its times.
	what unique.Handle[v1alpha1.Observation]
	// at is when it was made by its prober's clock if it is stated, and arrived when a
	// request was last heard of; zero when none was.
	at, arrived time.Time
	stated      bool
	// heard is when it was said last.
	heard time.Time
}

func newSaying(o v1alpha1.Observation, now time.Time) saying {
	s := saying{from: unique.Make(o.From), to: unique.Make(o.To), source: unique.Make(o.SourceSeen), at: now, heard: now}
	o.From, o.To, o.SourceSeen = v1alpha1.Endpoint{}, v1alpha1.Endpoint{}, ""
	if at, err := time.Parse(time.RFC3339Nano, o.At); err == nil {
		s.at, s.stated, o.At = at, true, ""
	}
	if arrived, err := time.Parse(time.RFC3339Nano, o.Heard); err == nil {
		s.arrived, o.Heard = arrived, ""
	}
	s.what = unique.Make(o)
	return s
}

func (s *saying) observation() v1alpha1.Observation {
	o := s.what.Value()
	o.From, o.To, o.SourceSeen = s.from.Value(), s.to.Value(), s.source.Value()
	if s.stated {
		o.At = s.at.Format(time.RFC3339Nano)
	}
	if !s.arrived.IsZero() {
		o.Heard = s.arrived.Format(time.RFC3339Nano)
	}
	return o
}

// repeats says whether s says again what o said, whenever.
func (s *saying) repeats(o *saying) bool {
	return s.at.Equal(o.at) && s.stated == o.stated && s.what == o.what && s.to == o.to && s.from == o.from &&
		s.source == o.source && s.arrived.Equal(o.arrived)
}
