package probe

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/netip"
)

// The wire format, the same over TCP, UDP and HTTP, in network byte order:
//
//	prefix    magic "RMP", version 1, kind, transport, code (2 bytes), length (4 bytes)
//	request   answer's wanted length (4), nonce (16), sender's node and pod
//	answer    bytes received (4), nonce (16), source address (16) and port (2) seen,
//	          the reflector's node, namespace, pod and target
//	refusal   nothing: the code says why
//
// Names are a length byte and that many characters. Requests and answers are
// padded with zeros up to 32 bytes before their length and end with the
// HMAC-SHA256 of all that is before. Kind and transport are part of what is
// signed, so no message can be turned into another. There are no times in it:
// clocks may differ. A refusal is not signed, and nothing follows from it but
// that a check did not happen.
const (
	magic     = "RMP\x01"
	prefixLen = 12
	macLen    = sha256.Size
	// maxHead bounds the part of a message that has fields; the rest is padding.
	maxHead = 1024
	// MaxMessage is the most bytes of a message.
	MaxMessage = 1<<16 - 1
	// smallUDP is the length of a small request over UDP. It leaves room for the
	// answer, which is never longer, and with its headers fits in every path
	// (576 bytes for IPv4, RFC 791 section 3.1).
	smallUDP = 512
)

const (
	kindRequest = 1
	kindAnswer  = 2
	kindRefusal = 3
)

const (
	overTCP    = 1
	overUDP    = 2
	overHTTP   = 3
	overReport = 4
)

const (
	codeKey  = 1
	codeBusy = 2
)

var (
	errNotOurs = errors.New("not a message of this protocol")
	errMAC     = errors.New("not signed with the shared key")
	errKey     = errors.New("the other end refused the shared key; is the Secret being rolled?")
	errBusy    = errors.New("the other end has too many connections")
)

// Identity is who a reflector says it is.
type Identity struct {
	Node, Namespace, Pod string
	// Target is open, guarded or host.
	Target string
}

// Nonce ties an answer to its request.
type Nonce [16]byte

func newNonce() Nonce {
	var n Nonce
	// It never fails: crypto/rand ends the program rather than give bad numbers.
	_, _ = rand.Read(n[:])
	return n
}

// request asks a reflector what it sees.
type request struct {
	over  byte
	nonce Nonce
	// size is the message's length and want the answer's, in bytes; 0 is as short as it gets.
	size, want int
	// node and pod of the sender.
	node, pod string
	// key that it was signed with, once read; the answer is signed with the same.
	key []byte
}

// answer is what a reflector saw.
type answer struct {
	over     byte
	nonce    Nonce
	size     int
	received int
	source   netip.AddrPort
	from     Identity
}

func (q request) encode(key []byte) ([]byte, error) {
	b := prefix(kindRequest, q.over, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(q.want))
	b = append(b, q.nonce[:]...)
	return seal(b, q.size, key, q.node, q.pod)
}

func (a answer) encode(key []byte) ([]byte, error) {
	b := prefix(kindAnswer, a.over, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(a.received))
	b = append(b, a.nonce[:]...)
	ip := a.source.Addr().As16()
	b = append(b, ip[:]...)
	b = binary.BigEndian.AppendUint16(b, a.source.Port())
	return seal(b, a.size, key, a.from.Node, a.from.Namespace, a.from.Pod, a.from.Target)
}

// refusal is the short message that tells why there is no answer.
func refusal(over byte, code uint16) []byte {
	b := prefix(kindRefusal, over, code)
	binary.BigEndian.PutUint32(b[8:], prefixLen)
	return b
}

func prefix(kind, over byte, code uint16) []byte {
	b := append(make([]byte, 0, 256), magic...)
	b = append(b, kind, over)
	b = binary.BigEndian.AppendUint16(b, code)
	return append(b, 0, 0, 0, 0)
}

// seal adds names, padding up to size, the length and the signature. A size that
// is too small for the fields counts as none.
func seal(b []byte, size int, key []byte, names ...string) ([]byte, error) {
	for _, name := range names {
		if !validName(name) {
			return nil, fmt.Errorf("%q cannot be sent as a name", name)
		}
		b = append(b, byte(len(name)))
		b = append(b, name...)
	}
	if len(b) > maxHead || size > MaxMessage {
		return nil, fmt.Errorf("a message of %d bytes is too long", max(len(b), size))
	}
	if pad := size - macLen - len(b); pad > 0 {
		b = append(b, make([]byte, pad)...)
	}
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)+macLen))
	mac := hmac.New(sha256.New, key)
	mac.Write(b)
	return mac.Sum(b), nil
}

// validName: what Kubernetes allows in names of nodes, namespaces and pods (DNS
// subdomains, RFC 1123), or nothing. So no answer can carry control characters.
func validName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// message is one that was read: its length and, when a key signed it, its fields.
type message struct {
	size int
	head fields
	key  []byte
}

// readMessage reads one message of a kind from r, at most [MaxMessage] bytes of
// which it keeps at most maxHead. errNotOurs, errMAC, errKey and errBusy say what
// is wrong with it; other errors are those of r.
func readMessage(r io.Reader, kind, over byte, keys [][]byte) (message, error) {
	// A connection that says nothing must cost little, so there is no more memory
	// than what has come asks for.
	head := make([]byte, prefixLen)
	if _, err := io.ReadFull(r, head); err != nil {
		return message{}, err
	}
	if !bytes.HasPrefix(head, []byte(magic)) || head[5] != over {
		return message{}, errNotOurs
	}
	if head[4] == kindRefusal && kind == kindAnswer {
		return message{}, refused(binary.BigEndian.Uint16(head[6:]))
	}
	size := binary.BigEndian.Uint32(head[8:])
	if head[4] != kind || size < prefixLen+macLen || size > MaxMessage {
		return message{}, errNotOurs
	}
	head = append(head, make([]byte, min(int(size)-macLen, maxHead)-prefixLen)...)
	if _, err := io.ReadFull(r, head[prefixLen:]); err != nil {
		return message{}, unexpected(err)
	}
	key, err := verify(r, head, int(size)-len(head)-macLen, keys)
	if err != nil {
		return message{}, err
	}
	return message{size: int(size), head: fields{left: head[prefixLen:]}, key: key}, nil
}

func refused(code uint16) error {
	switch code {
	case codeKey:
		return errKey
	case codeBusy:
		return errBusy
	}
	return errNotOurs
}

// unexpected: the end of what there is to read is no end of a message.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// verify reads padding and signature from r and says which key it was made with.
func verify(r io.Reader, head []byte, padding int, keys [][]byte) ([]byte, error) {
	macs := make([]hash.Hash, len(keys))
	all := make([]io.Writer, len(keys))
	for i, key := range keys {
		macs[i] = hmac.New(sha256.New, key)
		macs[i].Write(head)
		all[i] = macs[i]
	}
	if _, err := io.CopyN(io.MultiWriter(all...), r, int64(padding)); err != nil {
		return nil, unexpected(err)
	}
	var sum [macLen]byte
	if _, err := io.ReadFull(r, sum[:]); err != nil {
		return nil, unexpected(err)
	}
	for i, mac := range macs {
		if hmac.Equal(mac.Sum(nil), sum[:]) {
			return keys[i], nil
		}
	}
	return nil, errMAC
}

func readRequest(r io.Reader, over byte, keys [][]byte) (request, error) {
	m, err := readMessage(r, kindRequest, over, keys)
	if err != nil {
		return request{}, err
	}
	f := m.head
	q := request{over: over, size: m.size, key: m.key, want: int(f.uint32())}
	copy(q.nonce[:], f.take(len(q.nonce)))
	q.node, q.pod = f.name(), f.name()
	if f.bad || q.want > MaxMessage {
		return request{}, errNotOurs
	}
	return q, nil
}

func readAnswer(r io.Reader, over byte, keys [][]byte) (answer, error) {
	m, err := readMessage(r, kindAnswer, over, keys)
	if err != nil {
		return answer{}, err
	}
	f := m.head
	a := answer{over: over, size: m.size, received: int(f.uint32())}
	copy(a.nonce[:], f.take(len(a.nonce)))
	ip, _ := netip.AddrFromSlice(f.take(16))
	a.source = netip.AddrPortFrom(ip.Unmap(), f.uint16())
	a.from = Identity{Node: f.name(), Namespace: f.name(), Pod: f.name(), Target: f.name()}
	if f.bad {
		return answer{}, errNotOurs
	}
	return a, nil
}

// fields reads a message's fields one after the other; bad once one is missing.
type fields struct {
	left []byte
	bad  bool
}

func (f *fields) take(n int) []byte {
	if n > len(f.left) {
		f.bad = true
		return make([]byte, n)
	}
	b := f.left[:n]
	f.left = f.left[n:]
	return b
}

func (f *fields) uint16() uint16 { return binary.BigEndian.Uint16(f.take(2)) }
func (f *fields) uint32() uint32 { return binary.BigEndian.Uint32(f.take(4)) }

func (f *fields) name() string {
	s := string(f.take(int(f.take(1)[0])))
	f.bad = f.bad || !validName(s)
	return s
}
