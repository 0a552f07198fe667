package mesh

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// Decode joins the shards of one membership, given in any order. The first part
// says how many there are and of which state; parts of other states, left from a
// larger membership, are passed over. It refuses a membership of which a part is
// missing, or that is beyond the bounds or not well formed, and says what is wrong.
func Decode(shards [][]byte) (Membership, error) {
	if len(shards) == 0 || len(shards) > MaxShards {
		return Membership{}, fmt.Errorf("membership has %d shards, want 1 to %d", len(shards), MaxShards)
	}
	parts := make([]shard, len(shards))
	for i, b := range shards {
		var err error
		if parts[i], err = unpack(b); err != nil {
			return Membership{}, fmt.Errorf("membership shard %d: %w", i, err)
		}
		if v := parts[i].Version; v != 1 {
			return Membership{}, fmt.Errorf("membership shard %d has version %d, this probe reads 1: update the probe", i, v)
		}
	}
	out, hash, err := join(parts)
	if err != nil {
		return Membership{}, err
	}
	out = sorted(out)
	if err := out.validate(); err != nil {
		return Membership{}, fmt.Errorf("membership: %w", err)
	}
	if got := out.Hash(); got != hash {
		return Membership{}, fmt.Errorf("membership has hash %s and says %.16q: it was changed by hand", got, hash)
	}
	return out, nil
}

func join(parts []shard) (out Membership, hash string, err error) {
	first := slices.IndexFunc(parts, func(s shard) bool { return s.Shard == 0 })
	if first < 0 {
		return out, "", errors.New("membership has no first shard")
	}
	head := parts[first]
	if head.Shards < 1 || head.Shards > MaxShards {
		return out, "", fmt.Errorf("membership says that it has %d shards, want 1 to %d", head.Shards, MaxShards)
	}
	out = head.Membership
	for n := 1; n < head.Shards; n++ {
		i := slices.IndexFunc(parts, func(s shard) bool { return s.Shard == n && s.Hash == head.Hash && s.Shards == head.Shards })
		if i < 0 {
			return out, "", fmt.Errorf("membership shard %d of %d is missing or of another state: an update is on its way", n, head.Shards)
		}
		out.Members = append(out.Members, parts[i].Members...)
	}
	return out, head.Hash, nil
}

// unpack reads one shard member by member, so that no more of it is in memory
// than what is kept.
func unpack(b []byte) (shard, error) {
	var s shard
	if len(b) > maxShardRead {
		return s, fmt.Errorf("has %d bytes, at most %d", len(b), maxShardRead)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return s, fmt.Errorf("not gzip: %w", err)
	}
	plain := &io.LimitedReader{R: z, N: maxPlain}
	err = s.read(json.NewDecoder(plain))
	switch {
	case plain.N <= 0:
		return s, fmt.Errorf("is larger than %d bytes when unpacked", maxPlain)
	case err != nil:
		return s, fmt.Errorf("not a membership: %w", err)
	}
	return s, nil
}

func (s *shard) read(dec *json.Decoder) error {
	if err := expect(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if err := s.field(dec, key); err != nil {
			return err
		}
	}
	return expect(dec, '}')
}

func (s *shard) field(dec *json.Decoder, key json.Token) error {
	switch key {
	case "v":
		return dec.Decode(&s.Version)
	case "shard":
		return dec.Decode(&s.Shard)
	case "shards":
		return dec.Decode(&s.Shards)
	case "hash":
		return dec.Decode(&s.Hash)
	case "services":
		return dec.Decode(&s.Services)
	case "dns":
		return dec.Decode(&s.DNS)
	case "external":
		return dec.Decode(&s.External)
	case "members":
		return s.readMembers(dec)
	}
	var other json.RawMessage
	return dec.Decode(&other)
}

func (s *shard) readMembers(dec *json.Decoder) error {
	t, err := dec.Token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('[') {
		return errors.New("members is not a list")
	}
	for dec.More() {
		if len(s.Members) >= MaxMembers {
			return fmt.Errorf("more than %d members", MaxMembers)
		}
		var m Member
		if err := dec.Decode(&m); err != nil {
			return err
		}
		s.Members = append(s.Members, m)
	}
	return expect(dec, ']')
}

func expect(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("want %v, got %v", want, t)
	}
	return nil
}

// validate holds a sorted membership to its bounds. Members without pods, without
// addresses, or with addresses that others have too are well formed: their checks
// say so.
func (m Membership) validate() error {
	if len(m.Members) > MaxMembers {
		return fmt.Errorf("%d members, at most %d", len(m.Members), MaxMembers)
	}
	for i, member := range m.Members {
		if err := member.validate(); err != nil {
			return fmt.Errorf("member %d: %w", i, err)
		}
		if i > 0 && member.Node == m.Members[i-1].Node {
			return fmt.Errorf("node %s is in it twice", member.Node)
		}
	}
	return m.validateRest()
}

func (m Membership) validateRest() error {
	const most = 64
	if len(m.DNS.Services) > most || len(m.DNS.Pods) > 4*most || len(m.External) > most {
		return fmt.Errorf("more than %d DNS services or outside addresses, or %d DNS pods", most, 4*most)
	}
	if n := len(m.DNS.Name); n > 255 || !printable(m.DNS.Name) {
		return fmt.Errorf("DNS name of %d bytes is none", n)
	}
	for _, to := range m.External {
		if !usable(to.Addr()) || to.Port() == 0 {
			return fmt.Errorf("outside address %s cannot be tried: give address and port", to)
		}
	}
	for _, list := range [][]netip.Addr{m.DNS.Services, m.DNS.Pods} {
		if i := slices.IndexFunc(list, func(a netip.Addr) bool { return !usable(a) }); i >= 0 {
			return fmt.Errorf("DNS address %s cannot be tried", list[i])
		}
	}
	return addresses("the service", m.Services)
}

func (m Member) validate() error {
	if m.Node == "" || !isName(m.Node, 253) || !isName(m.Zone, 253) {
		return fmt.Errorf("node %.64q in zone %.64q: no such name", m.Node, m.Zone)
	}
	for _, t := range []*Target{m.Open, m.Guarded, m.Host} {
		if t == nil {
			continue
		}
		if !isName(t.Namespace, 63) || !isName(t.Pod, 253) {
			return fmt.Errorf("node %s: pod %.64q: no such name", m.Node, t.Namespace+"/"+t.Pod)
		}
		if err := addresses("pod "+t.Namespace+"/"+t.Pod, t.IPs); err != nil {
			return err
		}
	}
	return addresses("node "+m.Node, m.NodeIPs)
}

// addresses are at most one per family.
func addresses(what string, ips []netip.Addr) error {
	for i, a := range ips {
		if !usable(a) {
			return fmt.Errorf("%s: address %s cannot be tried", what, a)
		}
		if i > 1 || (i == 1 && a.Is4() == ips[0].Is4()) {
			return fmt.Errorf("%s has several addresses of one family", what)
		}
	}
	return nil
}

func usable(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast()
}

// isName says whether s consists of what names of objects and labels consist of.
func isName(s string, most int) bool {
	return len(s) <= most && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	}) < 0
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
