package probe

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func testKey(seed byte) []byte { return bytes.Repeat([]byte{seed}, 32) }

func testRing(t testing.TB, keys ...[]byte) *Keyring {
	t.Helper()
	k, err := NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func testRequest(over byte) request {
	return request{over: over, nonce: Nonce{1, 2, 3}, size: 700, want: 600, node: "node-7", pod: "remediate-probe-x9zk2"}
}

func testAnswer(over byte) answer {
	return answer{over: over, nonce: Nonce{4, 5}, size: 400, received: 700,
		source: netip.MustParseAddrPort("[fd00:101::21]:40000"),
		from:   Identity{Node: "node-2", Namespace: "remediate-probe", Pod: "remediate-probe-a", Target: "open"}}
}

func encoded(t testing.TB, m interface{ encode([]byte) ([]byte, error) }, key []byte) []byte {
	t.Helper()
	b, err := m.encode(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWireRoundTrip(t *testing.T) {
	key := testKey(1)
	for _, size := range []int{0, 1, 200, 700, maxHead - 1, maxHead, maxHead + 1, maxHead + macLen, 1452, 9000, MaxMessage} {
		q := testRequest(overTCP)
		q.size = size
		raw := encoded(t, q, key)
		if size >= 200 && len(raw) != size {
			t.Errorf("request of size %d has %d bytes", size, len(raw))
		}
		got, err := readRequest(bytes.NewReader(raw), overTCP, [][]byte{key})
		if err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		q.size, q.key = len(raw), key
		if !reflect.DeepEqual(got, q) {
			t.Errorf("size %d\n got %+v\nwant %+v", size, got, q)
		}
	}
	for _, source := range []string{"10.101.224.7:1", "[fd00:101::21]:65535"} {
		a := testAnswer(overUDP)
		a.source = netip.MustParseAddrPort(source)
		got, err := readAnswer(bytes.NewReader(encoded(t, a, key)), overUDP, [][]byte{key})
		if err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("%s\n got %+v, %v\nwant %+v", source, got, err, a)
		}
	}
}

func TestWireSeveralMessagesInOneStream(t *testing.T) {
	key := testKey(1)
	stream := bytes.NewReader(append(encoded(t, testRequest(overTCP), key), encoded(t, testRequest(overTCP), key)...))
	for i := range 2 {
		if _, err := readRequest(stream, overTCP, [][]byte{key}); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if _, err := readRequest(stream, overTCP, [][]byte{key}); !errors.Is(err, io.EOF) {
		t.Errorf("after the last message: %v", err)
	}
}

// Every byte counts: one bit changed anywhere is noticed.
func TestWireTampering(t *testing.T) {
	key := testKey(1)
	q, a := encoded(t, testRequest(overUDP), key), encoded(t, testAnswer(overUDP), key)
	for i := range q {
		bad := bytes.Clone(q)
		bad[i] ^= 1
		if _, err := readRequest(bytes.NewReader(bad), overUDP, [][]byte{key}); err == nil {
			t.Errorf("request with byte %d changed is accepted", i)
		}
	}
	for i := range a {
		bad := bytes.Clone(a)
		bad[i] ^= 1
		if _, err := readAnswer(bytes.NewReader(bad), overUDP, [][]byte{key}); err == nil {
			t.Errorf("answer with byte %d changed is accepted", i)
		}
	}
}

func TestWireBound(t *testing.T) {
	key := testKey(1)
	q := encoded(t, testRequest(overUDP), key)
	a := encoded(t, testAnswer(overUDP), key)
	huge := bytes.Clone(q)
	copy(huge[8:], []byte{0x40, 0, 0, 0})
	short := bytes.Clone(q)
	copy(short[8:], []byte{0, 0, 0, 20})
	asAnswer := bytes.Clone(q)
	asAnswer[4] = kindAnswer
	tests := []struct {
		name string
		raw  []byte
		over byte
		keys [][]byte
		want error
	}{
		{"as it is", q, overUDP, [][]byte{key}, nil},
		{"second key", q, overUDP, [][]byte{testKey(2), key}, nil},
		{"other key", q, overUDP, [][]byte{testKey(2)}, errMAC},
		{"no key", q, overUDP, nil, errMAC},
		{"over another transport", q, overTCP, [][]byte{key}, errNotOurs},
		{"an answer sent back", a, overUDP, [][]byte{key}, errNotOurs},
		{"1 GB announced", huge, overUDP, [][]byte{key}, errNotOurs},
		{"shorter than a signature", short, overUDP, [][]byte{key}, errNotOurs},
		{"cut off", q[:len(q)-1], overUDP, [][]byte{key}, io.ErrUnexpectedEOF},
		{"cut in the head", q[:20], overUDP, [][]byte{key}, io.ErrUnexpectedEOF},
		{"nothing", nil, overUDP, [][]byte{key}, io.EOF},
		{"a refusal", refusal(overUDP, codeKey), overUDP, [][]byte{key}, errNotOurs},
		{"text", []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), overUDP, [][]byte{key}, errNotOurs},
	}
	for _, tt := range tests {
		if _, err := readRequest(bytes.NewReader(tt.raw), tt.over, tt.keys); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := readAnswer(bytes.NewReader(asAnswer), overUDP, [][]byte{key}); !errors.Is(err, errMAC) {
		t.Errorf("a request turned into an answer: %v", err)
	}
}

// What a message of the largest size costs its reader is bounded, padding and all.
func TestWireKeepsLittle(t *testing.T) {
	q := testRequest(overTCP)
	q.size = MaxMessage
	m, err := readMessage(bytes.NewReader(encoded(t, q, testKey(1))), kindRequest, overTCP, [][]byte{testKey(1)})
	if err != nil || m.size != MaxMessage || cap(m.head.left) > 2*maxHead {
		t.Errorf("of %d bytes %d are kept: %v", m.size, cap(m.head.left), err)
	}
}

func TestWireRefusals(t *testing.T) {
	for code, want := range map[uint16]error{codeKey: errKey, codeBusy: errBusy, 77: errNotOurs} {
		if _, err := readAnswer(bytes.NewReader(refusal(overTCP, code)), overTCP, nil); !errors.Is(err, want) {
			t.Errorf("code %d: got %v, want %v", code, err, want)
		}
	}
	if n := len(refusal(overTCP, codeKey)); n != prefixLen {
		t.Errorf("a refusal has %d bytes", n)
	}
}

// A signed message may still hold fields that nobody should pass on.
func TestWireFieldsAreChecked(t *testing.T) {
	key := testKey(1)
	tests := []struct {
		name string
		body []byte
	}{
		{"no names", append(prefix(kindRequest, overTCP, 0), make([]byte, 20)...)},
		{"control characters", append(append(prefix(kindRequest, overTCP, 0), make([]byte, 20)...), "\x04\x1b[2J\x00"...)},
		{"name longer than the message", append(append(prefix(kindRequest, overTCP, 0), make([]byte, 20)...), 200, 'a')},
		{"answer of 4 GiB wanted", append(append(prefix(kindRequest, overTCP, 0), 0xff, 0xff, 0xff, 0xff), make([]byte, 18)...)},
	}
	for _, tt := range tests {
		raw, err := seal(tt.body, 0, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readRequest(bytes.NewReader(raw), overTCP, [][]byte{key}); !errors.Is(err, errNotOurs) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestWireDoesNotSend(t *testing.T) {
	for name, q := range map[string]request{
		"too long":       {size: MaxMessage + 1},
		"name too long":  {node: strings.Repeat("a", 254)},
		"name with dots": {pod: "a\nb"},
		"upper case":     {pod: "Node"},
	} {
		if _, err := q.encode(testKey(1)); err == nil {
			t.Errorf("%s is sent", name)
		}
	}
}

func FuzzRequest(f *testing.F) {
	key := testKey(1)
	f.Add(encoded(f, testRequest(overTCP), key))
	f.Add(encoded(f, testAnswer(overTCP), key))
	f.Add(refusal(overTCP, codeKey))
	f.Fuzz(func(t *testing.T, raw []byte) {
		// Signing whatever it is shows the fields to the parser, too.
		for _, raw := range [][]byte{raw, signed(raw, key)} {
			q, err := readRequest(bytes.NewReader(raw), overTCP, [][]byte{key})
			if err == nil && (!validName(q.node) || !validName(q.pod) || q.want > MaxMessage || q.size > len(raw)) {
				t.Errorf("accepted %+v", q)
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	key := testKey(1)
	f.Add(encoded(f, testAnswer(overUDP), key))
	f.Add(encoded(f, testRequest(overUDP), key))
	f.Add(refusal(overUDP, codeBusy))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, raw := range [][]byte{raw, signed(raw, key)} {
			a, err := oneAnswer(raw, [][]byte{key})
			if err != nil {
				continue
			}
			for _, name := range []string{a.from.Node, a.from.Namespace, a.from.Pod, a.from.Target} {
				if !validName(name) {
					t.Errorf("accepted name %q", name)
				}
			}
			if a.size != len(raw) {
				t.Errorf("accepted %d bytes as a message of %d", len(raw), a.size)
			}
		}
	})
}

// signed is raw with the right length and signature, as far as it is long enough.
func signed(raw, key []byte) []byte {
	if len(raw) < prefixLen+macLen || len(raw) > maxHead {
		return raw
	}
	b, err := seal(bytes.Clone(raw[:len(raw)-macLen]), 0, key)
	if err != nil {
		return raw
	}
	return b
}
