package mesh

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Bounds of an encoded membership. What is beyond them is refused.
const (
	// ShardBytes is the most bytes of a shard that [Encode] makes: a ConfigMap may
	// have 1 MiB in all.
	ShardBytes = 900 << 10
	// MaxShards of a membership, and MaxMembers in it.
	MaxShards  = 16
	MaxMembers = 20_000
	// maxShardRead bounds one shard compressed, maxPlain one uncompressed.
	maxShardRead = 1 << 20
	maxPlain     = 32 << 20
)

// shard is a part of a membership as it is stored. Hash is that of the whole, so
// that parts of different states are never joined.
type shard struct {
	Version int    `json:"v"`
	Shard   int    `json:"shard"`
	Shards  int    `json:"shards"`
	Hash    string `json:"hash"`
	Membership
}

// ShardName is the key of the n-th shard in a ConfigMap, and its file's name.
func ShardName(n int) string { return fmt.Sprintf("members-%d.json.gz", n) }

// Encode is m as gzipped JSON in one shard, or in as many as it takes for each to
// have at most limit bytes ([ShardBytes] when 0). The n-th belongs under
// [ShardName](n). Equal memberships give equal bytes, whatever their order.
func Encode(m Membership, limit int) ([][]byte, error) {
	if limit <= 0 {
		limit = ShardBytes
	}
	m = sorted(m)
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("membership cannot be written: %w", err)
	}
	hash := m.Hash()
	for n := 1; n <= MaxShards; n++ {
		out, fits, err := encodeIn(m, hash, n, limit)
		if err != nil {
			return nil, err
		}
		if fits {
			return out, nil
		}
	}
	return nil, fmt.Errorf("membership of %d nodes does not fit %d shards of %d bytes", len(m.Members), MaxShards, limit)
}

func encodeIn(m Membership, hash string, shards, limit int) (out [][]byte, fits bool, err error) {
	all := m.Members
	per := (len(all) + shards - 1) / shards
	for i := range shards {
		s := shard{Version: 1, Shard: i, Shards: shards, Hash: hash}
		if i == 0 {
			s.Membership = m
		}
		s.Members = all[min(i*per, len(all)):min((i+1)*per, len(all))]
		b, err := pack(s)
		if err != nil {
			return nil, false, err
		}
		if len(b) > limit {
			return nil, false, nil
		}
		out = append(out, b)
	}
	return out, true, nil
}

func pack(s shard) ([]byte, error) {
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress membership: %w", err)
	}
	if err := json.NewEncoder(w).Encode(s); err != nil {
		return nil, fmt.Errorf("encode membership: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress membership: %w", err)
	}
	return buf.Bytes(), nil
}

// Hash tells memberships apart: 16 hexadecimal digits, the same for equal
// memberships whatever the order of their members.
func (m Membership) Hash() string {
	h := sha256.New()
	m = sorted(m)
	enc := json.NewEncoder(h)
	for _, member := range m.Members {
		_ = enc.Encode(member) // plain data into a hash: cannot fail
	}
	m.Members = nil
	_ = enc.Encode(m) // as above
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// sorted is m in its canonical form.
func sorted(m Membership) Membership {
	m.Version = 1
	if !slices.IsSortedFunc(m.Members, byNode) {
		m.Members = slices.Clone(m.Members)
		slices.SortFunc(m.Members, byNode)
	}
	return m
}

func byNode(a, b Member) int { return strings.Compare(a.Node, b.Node) }
