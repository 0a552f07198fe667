package probe

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/remediate-dev/remediate/detect/mesh"
)

// Members reads the membership from the files that the kubelet writes, and notices
// by their names, sizes and times when it swaps them. It keeps no file open.
type Members struct {
	// Dir holds members-N.json.gz ([mesh.ShardName]).
	Dir string

	seen string
}

// maxShardFile is the most bytes that are read of a shard: no ConfigMap is larger.
const maxShardFile = 1 << 20

// Poll gives the membership if the files changed since it was last asked, nil if
// they did not. An error, told once per state of the files, means that what was
// read before remains in force.
func (m *Members) Poll() (*mesh.Membership, error) {
	state := m.state()
	if state == m.seen {
		return nil, nil
	}
	m.seen = state
	out, err := m.read()
	if err != nil {
		return nil, fmt.Errorf("cannot use the membership in %s: %w", m.Dir, err)
	}
	return &out, nil
}

// state tells contents of the directory apart without reading the files. The
// kubelet replaces the link ..data, which every file's time and target follow.
func (m *Members) state() string {
	var b strings.Builder
	if to, err := os.Readlink(filepath.Join(m.Dir, "..data")); err == nil {
		b.WriteString(to)
	}
	for i := range mesh.MaxShards {
		info, err := os.Stat(filepath.Join(m.Dir, mesh.ShardName(i)))
		if err != nil {
			fmt.Fprintf(&b, " %t", errors.Is(err, fs.ErrNotExist))
			break
		}
		fmt.Fprintf(&b, " %d:%d", info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}

func (m *Members) read() (mesh.Membership, error) {
	var shards [][]byte
	for i := range mesh.MaxShards {
		b, err := readBounded(filepath.Join(m.Dir, mesh.ShardName(i)))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return mesh.Membership{}, err
		}
		shards = append(shards, b)
	}
	if len(shards) == 0 {
		return mesh.Membership{}, fmt.Errorf("no %s there: is the ConfigMap of the probes' members filled and mounted?", mesh.ShardName(0))
	}
	return mesh.Decode(shards)
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxShardFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxShardFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", filepath.Base(path), maxShardFile)
	}
	return b, nil
}
