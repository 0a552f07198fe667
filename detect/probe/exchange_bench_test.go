package probe

import (
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

// What one exchange costs, both ends together; a probe does two a second.
func BenchmarkExchange(b *testing.B) {
	ring := testRing(b, testKey(1))
	r := &Reflector{Identity: reflectorSelf, Keys: ring, Addrs: loopbacks}
	if err := r.Start(); err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	p := &Prober{Keys: ring, Timeout: 5 * time.Second, Starvation: &Starvation{}}
	for _, protocol := range []string{"TCP", "UDP", "HTTP"} {
		for name, size := range map[string]int{"small": 0, "1500": 1500} {
			c := checkOf(r, protocol, 1)
			c.Bytes, c.Back = size, size != 0
			b.Run(protocol+"/"+name, func(b *testing.B) { exchangeOften(b, p, c) })
		}
	}
}

func exchangeOften(b *testing.B, p *Prober, c mesh.Check) {
	b.ReportAllocs()
	for b.Loop() {
		if o := p.Do(b.Context(), c); o.Outcome != v1alpha1.OutcomeOK {
			b.Fatal(o.Outcome, o.Reason)
		}
	}
}
