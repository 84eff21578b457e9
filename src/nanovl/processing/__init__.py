"""Media and text become tensors: tokenizer, prompt template, pictures, video, documents, speech."""
