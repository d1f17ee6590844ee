"""What a Postfix's configuration says, whoever asks: the map's check and the filter's."""
