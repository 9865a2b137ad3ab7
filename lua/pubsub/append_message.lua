-- Adds a message to the stream of a channel, and wakes those who read it.
--
-- @key stream
-- @arg max_length  messages that are kept, about
-- @arg message
-- @ret id of the message

local id = call('XADD', stream, 'MAXLEN', '~', max_length, '*', 'message', message)
call('PUBLISH', stream, id)
return id
