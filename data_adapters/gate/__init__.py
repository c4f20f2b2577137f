"""What a container may hold, checked before a library that would act on it opens it.

One file per container. Each refuses what could run code or read other files, compares announced
sizes with the file's own and the machine's memory, and gives only the parts that are asked for.
"""
