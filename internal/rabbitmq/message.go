package rabbitmq

import (
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/surgewall/surgewall/events"
)

// maxHeaders bounds how many headers of a delivery are looked at.
const maxHeaders = 64

// publishing turns a message into the client's form, sent by user.
func publishing(m events.Message, user string) amqp.Publishing {
	headers := make(amqp.Table, len(m.Headers))
	for name, value := range m.Headers {
		headers[name] = value
	}
	mode := amqp.Transient
	if m.Persistent {
		mode = amqp.Persistent
	}
	return amqp.Publishing{
		Headers: headers, ContentType: m.ContentType, DeliveryMode: mode, MessageId: m.MessageID,
		Type: m.Headers["ce-type"], UserId: user, Body: m.Body,
	}
}

// message turns a delivery into our form. Headers that are neither text nor a whole number are left out.
func message(d *amqp.Delivery) events.Message {
	headers := make(map[string]string, min(len(d.Headers), maxHeaders))
	for name, value := range d.Headers {
		if len(headers) == maxHeaders {
			break
		}
		switch v := value.(type) {
		case string:
			headers[name] = v
		case int64:
			headers[name] = strconv.FormatInt(v, 10)
		case int32:
			headers[name] = strconv.FormatInt(int64(v), 10)
		}
	}
	return events.Message{
		Exchange: d.Exchange, Key: d.RoutingKey, Headers: headers, ContentType: d.ContentType,
		MessageID: d.MessageId, UserID: d.UserId, Persistent: d.DeliveryMode == amqp.Persistent, Body: d.Body,
	}
}
