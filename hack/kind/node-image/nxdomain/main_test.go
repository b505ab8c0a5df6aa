package main

import (
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestAnswerRefusesAQuestion(t *testing.T) {
	t.Parallel()
	query := dnsmessage.Message{
		Header: dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{{
			Name:  dnsmessage.MustNewName("example.test."),
			Type:  dnsmessage.TypeAAAA,
			Class: dnsmessage.ClassINET,
		}},
	}
	packed, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if !answer(packed) {
		t.Fatal("no answer to a question")
	}
	var got dnsmessage.Message
	if err := got.Unpack(packed); err != nil {
		t.Fatalf("the answer cannot be read: %v", err)
	}
	if got.ID != 4711 || !got.Response || got.RCode != dnsmessage.RCodeNameError || len(got.Questions) != 1 {
		t.Errorf("answer %+v: want the question back with NXDOMAIN", got)
	}
	if answer(packed) {
		t.Error("an answer was answered")
	}
}

func TestAnswerIgnoresWhatIsTooShort(t *testing.T) {
	t.Parallel()
	if answer(make([]byte, headerSize-1)) {
		t.Error("answered a message without a whole header")
	}
}
