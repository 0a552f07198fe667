package scale

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// perTxn is what one transaction may hold: etcd's --max-txn-ops is 128.
const perTxn = 120

// store puts objects into etcd itself, as the API server has them there, by etcd's
// JSON gateway. Half a million objects would take the API server half an hour.
type store struct {
	url  string
	puts []put
	err  error
}

// put is a request of etcdserverpb.TxnRequest; bytes are base64 in JSON.
type put struct {
	Request struct {
		Key   []byte `json:"key"`
		Value []byte `json:"value"`
	} `json:"requestPut"`
}

// add keeps an object until there are enough for a transaction.
func (s *store) add(key string, object any) {
	value, err := json.Marshal(object)
	if err != nil {
		s.err = fmt.Errorf("encode %s: %w", key, err)
		return
	}
	var p put
	p.Request.Key, p.Request.Value = []byte("/registry/"+key), value
	if s.puts = append(s.puts, p); len(s.puts) == perTxn {
		_ = s.flush() // kept in s.err
	}
}

// flush writes what is kept, and says what went wrong until now.
func (s *store) flush() error {
	if s.err != nil || len(s.puts) == 0 {
		return s.err
	}
	body, err := json.Marshal(map[string]any{"success": s.puts})
	s.puts = s.puts[:0]
	if err == nil {
		err = s.post(body)
	}
	s.err = err
	return err
}

func (s *store) post(body []byte) error {
	resp, err := http.Post(s.url+"/v3/kv/txn", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("etcd says %s: %s", resp.Status, text)
	}
	return err
}
