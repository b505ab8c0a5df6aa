// Command nxdomain is the upstream name server of a cluster that has no way out:
// it says at once that no such name exists.
//
// A name server that does not answer is worse than one that says no: a lookup
// of a short name that wants either address family walks the search list to its
// end and then waits four seconds for the upstream.
package main

import (
	"log"
	"net"
	"os"
)

const (
	headerSize = 12
	response   = 1 << 7 // QR, first bit of byte 2
	recursion  = 1 << 7 // RA, first bit of byte 3
	nxdomain   = 3      // RCODE, last four bits of byte 3 (RFC 1035, 4.1.1)
)

// answer turns a query into its refusal in place. It reports false for what is
// no query, which gets no answer, lest two such servers talk for ever.
func answer(message []byte) bool {
	if len(message) < headerSize || message[2]&response != 0 {
		return false
	}
	message[2] |= response
	message[3] = recursion | nxdomain
	for i := 6; i < headerSize; i++ { // no answers, authorities or additions
		message[i] = 0
	}
	return true
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: nxdomain ADDRESS:PORT")
	}
	conn, err := net.ListenPacket("udp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			log.Fatal(err)
		}
		if answer(buffer[:n]) {
			_, _ = conn.WriteTo(buffer[:n], from) // a lost answer is asked for again
		}
	}
}
